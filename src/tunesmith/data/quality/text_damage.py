"""Damage to the characters of a text: wrong decodings, lost and invisible characters, leftovers of a web"
" page."""

from __future__ import annotations

import re

WINDOW = 20_000
"""Characters that the slow rules look at, half of them from the start and half from the end."""


def damage_kinds(text: str, context: str = "") -> set[str]:
    """Kinds of damage in a text. `context` is what it answers: where that is about HTML, tags are no"
    " damage."""
    kinds = set()
    if CONTROL.search(text):
        kinds.add("control_character")
    if not text.isascii():
        if "\ufffd" in text:
            kinds.add("replacement_character")
        if has_invisible(text):
            kinds.add("invisible_character")
        if has_mojibake(text):
            kinds.add("mojibake")
    if ("<" in text or "&" in text) and has_html_leftovers(text, context):
        kinds.add("html")
    return kinds


CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f]")
"""C0 and C1 without tab, line ends, form feed and NEL. An ANSI escape sequence begins with one."""
_UNSEEN = re.compile(
    "[\u00ad\u2060-\u2064\u206a-\u206f\ufeff\ufff9-\ufffb\u202d\u202e]"
    "|(?<![\U000e0020-\U000e007f\U0001f3f4])[\U000e0001\U000e0020-\U000e007f]+"  # in a flag emoji they belong
    "|[\ufe00-\ufe0f\U000e0100-\U000e01ef]{3,}"  # variation selectors in a row carry bytes, not glyphs
)
_DIRECTION = re.compile("[\u202a-\u202c\u2066-\u2069]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_WORD_BREAK = re.compile("\u200b")
_BREAKS_WORDS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")


def has_invisible(text: str) -> bool:
    """Whether a text holds characters that nobody sees and nothing needs."""
    return any(pattern.search(text) for pattern in unseen(text))


def unseen(text: str) -> list[re.Pattern[str]]:
    """Patterns of the characters that nobody sees and nothing needs in this text.

    Joiners (U+200C, U+200D) belong to emoji and to Persian and Indic words, direction marks to texts written from
    right to left, zero-width spaces to Thai, Lao, Burmese and Khmer: there they are not among them.
    """
    patterns = [_UNSEEN]
    if "\u200b" in text and not _BREAKS_WORDS.search(text):
        patterns.append(_WORD_BREAK)
    if _DIRECTION.search(text) and not _RIGHT_TO_LEFT.search(text):
        patterns.append(_DIRECTION)
    return patterns


def _legacy_characters() -> str:
    """What the bytes 0x80 to 0xFF become in the encodings that ftfy tries, without Cyrillic letters."""
    encodings = (
        "latin-1",
        "cp1252",
        "cp1250",
        "cp1253",
        "cp1254",
        "cp1257",
        "iso8859-2",
        "mac-roman",
        "cp437",
    )
    high = bytes(range(0x80, 0x100))
    characters = {character for name in encodings for character in high.decode(name, "ignore")}
    return "".join(re.escape(character) for character in sorted(characters | {"\ufffd"}))


_MAYBE_MOJIBAKE = re.compile(
    f"[{_legacy_characters()}]{{2}}|[ÂÃâ] |(?:[РС][^\\s\\w.,!?]|[РС][Ѐ-ЏҐґ°µ»ѐ-џ]){{2}}"
    f"|(?:[РС][\u0400-\u04ff]){{3}}"
)
"""Two bytes of one character, each decoded by itself. A prefilter: it lets through more than ftfy"
" confirms."""


def has_mojibake(text: str) -> bool:
    """Whether a text was decoded with the wrong encoding; ftfy (Speer 2019, doi:10.5281/zenodo.2591652)"
    " judges."""
    if _MAYBE_MOJIBAKE.search(text) is None:
        return False
    # ftfy takes 20 ms to import, and most datasets never need it.
    from ftfy import TextFixerConfig, fix_encoding
    from ftfy.badness import is_bad

    part = text if len(text) <= WINDOW else text[: WINDOW // 2] + "\n" + text[-WINDOW // 2 :]
    config = TextFixerConfig(fix_c1_controls=False, explain=False)
    return is_bad(part) and fix_encoding(part, config) != part


FENCED = re.compile(r"```.{0,20000}?(?:```|\Z)|`[^`\n]{1,200}`", re.DOTALL)
TAG = re.compile(
    r"</(?:p|div|span|a|b|i|u|strong|em|ul|ol|li|table|tr|td|th|h[1-6]|font|center|blockquote|sup|sub|small)>"
    r"|<(?:br|hr) ?/?>"
    r"|<(?:p|div|span|strong|em|ul|ol|li|table|tr|td|th|h[1-6]|font|center|blockquote)>"
    r"|<(?:a|p|div|span|img|font|table|tr|td|th|h[1-6]|ul|ol|li|iframe|center|strong"
    r"|em)\s[a-z-]{2,20}=[^<>]{1,500}>",
    re.IGNORECASE,
)
ENTITY = re.compile(
    r"&(?:nbsp|amp|lt|gt|quot|apos|ndash|mdash|[lr][sd]quo|hellip|bull|middot|copy|reg|trade|deg|pound|euro"
    r"|times"
    r"|laquo|raquo|[aeiouAEIOU](?:acute|grave|circ|uml)|[an]tilde|ccedil|szlig|#\d{2,6}|#x[0-9A-Fa-f]{2,5});"
)
_ABOUT_MARKUP = re.compile(
    r"html|css\b|xml|xhtml|markup|mark-up|web ?-?page|website|web ?site|web ?form|javascript|jquery|jsx"
    r"|react|\bphp\b"
    r"|svg|\btags?\b|angular|\bvue\b|django|flask|\bdom\b|<!doctype|<head|<body|<script|<style|bold|italic"
    r"|hyperlink|scrap"
    r"|escap(?:e|ing)|entit(?:y|ies)|latex|regular expression|regex|web component",
    re.IGNORECASE,
)
_INDENTED_TAG = re.compile(r"^[ \t]{1,40}</?[a-z]", re.MULTILINE)


def has_html_leftovers(text: str, context: str = "") -> bool:
    """Whether tags or entities of a web page stand in prose: outside code, and in a text that is not about"
    " markup."""
    if not TAG.search(text) and not ENTITY.search(text):
        return False
    prose = FENCED.sub(" ", text[:WINDOW])
    if _INDENTED_TAG.search(prose):
        return False  # markup that somebody wrote
    if not TAG.search(prose) and not ENTITY.search(prose):
        return False
    return not _ABOUT_MARKUP.search(context[:WINDOW]) and not _ABOUT_MARKUP.search(TAG.sub(" ", prose))

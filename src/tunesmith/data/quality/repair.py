"""Repairs of single texts, for clean_dataset. Each is idempotent and leaves sound text as it is."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Collection

from tunesmith.data.quality.personal_data import (
    PERSONAL_DATA_KINDS,
    Finding,
    personal_data,
    without_overlap,
)
from tunesmith.data.quality.secrets import secrets
from tunesmith.data.quality.text_damage import (
    CONTROL,
    ENTITY,
    FENCED,
    TAG,
    has_html_leftovers,
    has_invisible,
    has_mojibake,
    unseen,
)


def repair(text: str) -> str:
    """A text without mojibake, control characters, terminal escapes, invisible characters and stray HTML entities.

    What was lost (U+FFFD) stays as it is. Quotation marks, ligatures, character width and Unicode normalisation are not
    touched: they are no damage.
    """
    while True:
        repaired = _repaired_once(text)
        if repaired == text:
            return text
        text = repaired  # a repair can lay bare the next damage: some text was decoded wrongly twice


def strip_html(text: str, context: str = "") -> str:
    """A text without the tags and entities that `has_html_leftovers` sees; breaks and paragraphs become"
    " line ends."""
    while has_html_leftovers(text, context):
        plain = "".join(
            part if fenced else html.unescape(_ANY_TAG.sub("", _LINE_TAG.sub("\n", part)))
            for part, fenced in _by_fence(text)
        )
        plain = _BLANK_LINES.sub("\n\n", plain).strip()
        if plain == text:
            break
        text = plain
    return text


def redact(text: str, kinds: Collection[str] = (*PERSONAL_DATA_KINDS, "secret")) -> tuple[str, Counter[str]]:
    """A text with what is of these kinds replaced by [EMAIL], [PHONE], [SECRET] and so on; and how many of each kind.

    The checks find nothing of these kinds in what is returned. Where a stand-in lays bare the next number again and
    again, because somebody glued hundreds together, all further digits become #.
    """
    counts: Counter[str] = Counter()
    passes = 0
    while found := [one for one in _private(text) if one.kind in kinds]:
        counts.update(finding.kind for finding in found)
        text = _with_stand_ins(text, found)
        passes += 1
        if passes >= _MOST_PASSES:
            text = _DIGIT.sub("#", text)
    return text, counts


_MOST_PASSES = 20
_DIGIT = re.compile(r"\d")


def _private(text: str) -> list[Finding]:
    return without_overlap([*secrets(text), *personal_data(text)])


_TERMINAL_ESCAPE = re.compile(
    r"\x1b(?:\[[0-9;?]{0,20}[ -/]{0,3}[@-~]|\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)|[@-Z\\-_])"
)


def _repaired_once(text: str) -> str:
    if CONTROL.search(text):
        text = _TERMINAL_ESCAPE.sub("", text)
        text = CONTROL.sub("", text) if text.isascii() else _without_controls(text)
    if not text.isascii():
        if has_mojibake(text):
            text = _decoded(text)
        if has_invisible(text):
            for pattern in unseen(text):
                text = pattern.sub("", text)
    if "&" in text and not TAG.search(text) and has_html_leftovers(text):
        text = "".join(part if fenced else ENTITY.sub(_unescaped, part) for part, fenced in _by_fence(text))
    return text


def _without_controls(text: str) -> str:
    """C1 characters may be part of mojibake: ftfy sees them first."""
    return CONTROL.sub("", _decoded(text) if has_mojibake(text) else text)


def _decoded(text: str) -> str:
    """Line by line, so that a broken line does not depend on its neighbours."""
    from ftfy import fix_encoding

    return "\n".join(map(fix_encoding, text.split("\n")))


def _unescaped(match: re.Match[str]) -> str:
    return html.unescape(match[0])


def _by_fence(text: str) -> list[tuple[str, bool]]:
    """The text in pieces, in order; True for code, which keeps its tags."""
    pieces: list[tuple[str, bool]] = []
    end = 0
    for match in FENCED.finditer(text):
        pieces += [(text[end : match.start()], False), (match[0], True)]
        end = match.end()
    return [*pieces, (text[end:], False)]


_LINE_TAG = re.compile(
    r"[ \t]?(?:<(?:br|hr) ?/?>|</(?:p|div|li|tr|h[1-6]|ul|ol|table|blockquote)>"
    r"|<li(?:\s[^<>]{0,500})?>)[ \t]?",
    re.IGNORECASE,
)
_ANY_TAG = re.compile(
    r"</?(?:p|div|span|a|b|i|u|strong|em|ul|ol|li|table|thead|tbody|tr|td|th|h[1-6]|font|center|blockquote"
    r"|sup|sub|small|img"
    r"|iframe|section|article)(?:\s[^<>]{0,500})?/?>",
    re.IGNORECASE,
)
_BLANK_LINES = re.compile(r"\n[ \t]{0,20}\n(?:[ \t]{0,20}\n){1,100}")


def _with_stand_ins(text: str, found: list[Finding]) -> str:
    pieces, end = [], 0
    for finding in found:
        pieces += [text[end : finding.start], f"[{finding.kind.upper()}]"]
        end = finding.end
    return "".join([*pieces, text[end:]])

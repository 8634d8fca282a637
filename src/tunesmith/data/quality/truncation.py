"""Answers that break off: generated up to a limit of length, or cut when they were copied."""

from __future__ import annotations

import json
import re

from tunesmith.data.quality.wordlists import word_set

LEAST_CHARACTERS = 40
LEAST_PROSE = 120
"""Short replies lack their full stop out of carelessness; generated text is cut later than that."""
LEAST_WORDS = 8
LONG_SENTENCE_WORDS = 12
_SEEN = 3_000
"""Characters at the end that are looked at."""

_ENDS_WELL = frozenset(".!?…。！？．｡।؟」』”’\"')]}>»*_~|;:`。、）】》%°€$£©®™✓✔♪/=")
_OPEN_WORDS = word_set(
    "a an the of and or nor but with from into onto upon their its your our my whose which whereas because"
    " although if unless"
    " while than as at by for is are was were be been being has have had can could will would shall should"
    " may might must to"
    " very such every each between through during against including"
)
"""Words that no sentence ends with, or hardly one that stands in a text with full stops."""
_ITEM = re.compile(r"\s*(?:[-*•–+>#|]|\(?\d{1,3}[.):]|\(?[a-zA-Z][.)]|[A-Z][\w ]{0,30}:)\s*\S?")
_CODE = re.compile(r"[{}\[\]();=<>|\\^_@#$%&~+*/]|^\s{2,}|https?:|\bdef\b|\bimport\b|\d\s*[-+*/=]")
_SENTENCE_END = re.compile(r"[.!?…。！？][\"'”’)]*(?:\s|$)|[。！？]")
_FENCE = "```"
_CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff]")


def is_truncated(text: str) -> bool:
    """Whether a stripped answer ends in the middle of a sentence, a code block or a JSON value.

    Only prose that uses full stops is judged: titles, lists of words, verses, code, signatures, addresses, numbers and
    answers of one short line end as they like.
    """
    if len(text) < LEAST_CHARACTERS:
        return False
    if text.count(_FENCE) % 2 == 1:
        return True
    last = text[-1]
    if text[0] in "{[" and last not in '}])`"':
        return _is_cut_json(text)
    if last in _ENDS_WELL or not (last.isalnum() or last in ",-–—(["):
        return False
    tail = text[-_SEEN:]
    lines = [line for line in tail.splitlines() if line.strip()]
    line = lines[-1]
    if _CJK.match(last):
        return (
            len(_SENTENCE_END.findall(tail)) >= 2
            and len(line) >= LEAST_CHARACTERS // 2
            and not _ends_freely(lines)
        )
    return _prose_breaks_off(lines)


def _prose_breaks_off(lines: list[str]) -> bool:
    line, others = lines[-1], lines[:-1]
    sentence = _SENTENCE_END.split(line)[-1]
    words = sentence.split()
    if not words or (_CODE.search(" ".join(words[-4:])) and not _opens_bracket(sentence)):
        return False
    if words[-1].lower() in _OPEN_WORDS and not (len(words[-1]) == 1 and words[-1].isupper()):
        return len(line.split()) >= LEAST_WORDS // 2
    if line[-1] in ",-–—([":
        return len(line.split()) >= LEAST_WORDS and not _ends_freely(lines)
    if _TIME.search(line):
        return False
    if (_opens_bracket(sentence) or _opens_quotation(line)) and len(line.split()) > 3:
        return True
    if _ITEM.match(line) and not _SENTENCE_END.search(line.strip()[3:]):
        return _other_items_end(others, len(words))
    if sum(map(len, lines)) < LEAST_PROSE:
        return False
    if _SENTENCE_END.search(line[: -len(sentence)]):
        # The line has whole sentences before: who writes them writes the last full stop, too.
        return len(line.split()) >= LEAST_WORDS and not _is_signature(words)
    if _is_title(words):
        return False
    if others and all(map(_ends, others)):
        return len(words) >= LONG_SENTENCE_WORDS or (len(words) >= 3 and words[-1].islower())
    return (not others and len(words) >= LONG_SENTENCE_WORDS and words[-1].islower()) or _breaks_within_word(
        words[-1]
    )


def _ends_freely(lines: list[str]) -> bool:
    """Whether most of the other lines have no full stop either, as verses and lists."""
    others = lines[:-1]
    return bool(others) and sum(_ends(line) for line in others) * 2 < len(others)


def _other_items_end(others: list[str], words: int) -> bool:
    """Whether the items before end with full stops; a single one says so only beside a long item."""
    items = [line for line in others if _ITEM.match(line)]
    return len(items) >= (1 if words >= LEAST_WORDS else 2) and all(map(_ends, items))


def _ends(line: str) -> bool:
    return line.rstrip()[-1] in '.!?…。！？:;"”’)'


def _opens_bracket(sentence: str) -> bool:
    return sentence.count("(") > sentence.count(")") and not re.search(r"[:;]-?\(", sentence)


def _opens_quotation(line: str) -> bool:
    return line.count("“") > line.count("”") or line.count('"') % 2 == 1


_TIME = re.compile(r"\d ?(?:am|pm|a\.m|p\.m|st|nd|rd|th|km|kg|cm|mm|m|g|ml|%)$", re.IGNORECASE)


def _is_title(words: list[str]) -> bool:
    return sum(word[0].isupper() for word in words) * 2 > len(words)


_CLOSING = re.compile(r"(?:yours|sincerely|best|kind|warm|regards|love|cheers|thanks|thank)\b", re.IGNORECASE)


def _is_signature(words: list[str]) -> bool:
    """A closing formula, or a name of two to four words, after the last sentence."""
    if _CLOSING.match(words[0]):
        return len(words) <= 8
    return 2 <= len(words) <= 4 and all(word[0].isupper() or not word[0].isalpha() for word in words)


def _breaks_within_word(word: str) -> bool:
    """A single lower-case letter at the end of a long sentence: `an inability to adapt t`."""
    return len(word) == 1 and word.isalpha() and word.islower() and word not in "xyzn"


def _is_cut_json(text: str) -> bool:
    """Whether something that begins as JSON was read without a mistake up to its end, and is not closed"
    " there."""
    try:
        json.JSONDecoder().raw_decode(text)
    except (json.JSONDecodeError, RecursionError) as error:
        return (
            isinstance(error, json.JSONDecodeError)
            and error.pos >= len(text) - 200
            and text[:200].count('"') >= 2
        )
    return False

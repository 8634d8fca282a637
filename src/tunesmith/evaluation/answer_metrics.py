"""One written answer against its reference: a figure from 0 to 1.

exact_match  1 where the texts are equal, surrounding white space aside
token_f1     harmonic mean of precision and recall over words as SQuAD counts them (P. Rajpurkar et al., 2016): case,
             punctuation and English articles aside. Scripts that put no spaces between words are counted by the
             character (as MLQA does for Chinese: P. Lewis et al., 2020)
rouge_l      F1 of the longest common subsequence of words (C.-Y. Lin, 2004), over the whole text
chrf         character n-gram F-score of one sentence (M. Popovic, 2015), sacrebleu's chrF2 divided by 100
json_valid   1 where the answer is a JSON object or array and nothing else
json_fields  of all fields that the reference or the answer has, nested ones by their path, the share that both
             have with equal values; 0 for an answer that is not valid
"""

from __future__ import annotations

import json
import string
import unicodedata
from collections import Counter
from functools import lru_cache
from typing import Any

from rapidfuzz.distance import LCSseq
from sacrebleu.metrics import CHRF

_ARTICLES = {"a", "an", "the"}
_UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x0FFF),  # Tibetan
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),  # Han
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
_MARKS = ("Mn", "Mc", "Me")


def is_exact(answer: str, reference: str) -> bool:
    """Whether an answer is the reference, surrounding white space aside."""
    return answer.strip() == reference.strip()


def token_f1(answer: str, reference: str) -> float:
    """F1 over words; texts that are nothing but punctuation or articles count as equal or not as a whole."""
    written = [word for word in words(answer) if word not in _ARTICLES]
    wanted = [word for word in words(reference) if word not in _ARTICLES]
    if not written or not wanted:
        return float(is_exact(answer, reference) or (words(answer) == words(reference) != []))
    common = sum((Counter(written) & Counter(wanted)).values())
    return 2 * common / (len(written) + len(wanted))


def rouge_l(answer: str, reference: str) -> float:
    """F1 of the longest common subsequence of words."""
    written, wanted = words(answer), words(reference)
    if not written or not wanted:
        return float(is_exact(answer, reference))
    return 2 * LCSseq.similarity(written, wanted) / (len(written) + len(wanted))


def chrf(answer: str, reference: str) -> float:
    """chrF2 from 0 to 1; two texts that are both empty are equal."""
    if not answer.strip() or not reference.strip():
        return float(is_exact(answer, reference))
    return min(1.0, float(_chrf().sentence_score(answer, [reference]).score) / 100)


def json_value(text: str) -> Any | None:
    """The object or array that a text is, or None: other JSON values have no fields."""
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None


def json_fields(answer: str, reference: str) -> float:
    """The share of fields that are right; the reference is an object or array."""
    written, wanted = json_value(answer), json_value(reference)
    if written is None or type(written) is not type(wanted):
        return 0.0
    ours, theirs = _leaves(written), _leaves(wanted)
    return sum(_equal(ours.get(path, _MISSING), value) for path, value in theirs.items()) / len(ours | theirs)


def words(text: str) -> list[str]:
    """Words without case and punctuation; of scripts without spaces, characters with their marks."""
    kept = "".join(
        character
        for character in unicodedata.normalize("NFKC", text).casefold()
        if not _is_punctuation(character)
    )
    found: list[str] = []
    for run in kept.split():
        if run.isascii():
            found.append(run)
        else:
            found.extend(_split(run))
    return found


_MISSING = object()


def _split(run: str) -> list[str]:
    pieces: list[str] = []
    alone = True
    for character in run:
        own = _stands_alone(character)
        marks = unicodedata.category(character) in _MARKS
        if pieces and (marks or not (own or alone)):
            pieces[-1] += character
        else:
            pieces.append(character)
        alone = own or (marks and alone)
    return pieces


@lru_cache(maxsize=4096)
def _is_punctuation(character: str) -> bool:
    return unicodedata.category(character).startswith("P") or character in string.punctuation


@lru_cache(maxsize=4096)
def _stands_alone(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in _UNSPACED)


@lru_cache(maxsize=1)
def _chrf() -> Any:
    return CHRF()


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _leaves(value: Any) -> dict[tuple[str | int, ...], Any]:
    """Each value that is no object or array, or an empty one, by its path."""
    leaves: dict[tuple[str | int, ...], Any] = {}
    left: list[tuple[tuple[str | int, ...], Any]] = [((), value)]
    while left:
        path, node = left.pop()
        inner = list(node.items() if isinstance(node, dict) else enumerate(node)) if _holds(node) else []
        if inner:
            left.extend(((*path, key), child) for key, child in inner)
        else:
            leaves[path] = node
    return leaves


def _holds(node: Any) -> bool:
    return isinstance(node, dict | list)


def _equal(written: Any, wanted: Any) -> bool:
    """1 equals 1.0; true does not equal 1; texts are compared without the white space around them."""
    if isinstance(written, bool) or isinstance(wanted, bool):
        return written is wanted
    if isinstance(written, str) and isinstance(wanted, str):
        return is_exact(written, wanted)
    return bool(written == wanted)

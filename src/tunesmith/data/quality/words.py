"""Texts as rows of hashed words: the normal form in which copies of each other are recognised.

Compatibility forms (NFKC), case, white space and punctuation do not count. Letters, digits and the signs that change
a meaning in code and arithmetic (+ - * / = < > % & | # @ $ and so on) do. A character of a script that writes without
spaces is a word of its own.

A word's hash is a polynomial over its bytes modulo 2**64 (Karp and Rabin, 1987). Differences of running sums give the
hashes of all words of a batch at once, without a Python object a word.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

STEM_BYTES = 5
"""A word's stem, for comparing topics: so many of its first bytes."""
LEAST_STEM_BYTES = 4
"""Shorter words have no stem: most of them say how a sentence is built, not what it is about."""

_SPAN = 1 << 20
_LONGEST_WORD = 1 << 16
"""Of a longer run of letters (encoded bytes) only this beginning counts."""
_BASE = np.uint64(0x9E3779B97F4A7C15)
_INVERSE = np.uint64(pow(0x9E3779B97F4A7C15, -1, 1 << 64))
_ROW_BASE = np.uint64(0xD6E8FEB86659FD93)

_SEPARATOR, _LETTER, _SIGN = 0, 1, 2
_WIDE = re.compile(r"[^\x00-\x7f]+")
_UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR")
"""How the names of characters begin whose scripts put no space between words."""


@dataclass(frozen=True)
class Words:
    """`hashes`: uint64, one a word. `offsets`: int64, one more than texts: text i has words offsets[i]:offsets[i+1].

    `stems`: uint64, one a word; 0 where the word is too short to have one.
    """

    hashes: Any
    offsets: Any
    stems: Any

    @property
    def counts(self) -> Any:
        """Words of each text."""
        return np.diff(self.offsets)


def split(texts: Any) -> Words:
    """The words of an Arrow string array; a null is a text without words."""
    letters, bounds = _bytes_of(_folded(texts))
    kinds, lowered = _tables()
    kind = kinds[letters]
    letters = lowered[letters]
    starts, ends = _word_bounds(kind, letters, bounds)
    offsets: Any = np.searchsorted(starts, bounds).astype(np.int64)
    hashes, stems = _hashed(letters, starts, np.minimum(ends, starts + _LONGEST_WORD))
    return Words(hashes, offsets, stems)


def join_words(portions: Sequence[Words]) -> Words:
    """Several texts after each other."""
    counts = np.concatenate([portion.counts for portion in portions])
    return Words(
        np.concatenate([portion.hashes for portion in portions]),
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.concatenate([portion.stems for portion in portions]),
    )


def text_hashes(words: Words, texts: Any) -> Any:
    """uint64 of each text, equal for equal sequences of words; of a text without words, of its exact characters."""
    counts = words.counts
    hashes = row_sums(words.hashes * row_powers(words.offsets), words.offsets)
    hashes = mixed(hashes + counts.astype(np.uint64))
    for position in np.flatnonzero(counts == 0):
        exact = (texts[int(position)].as_py() or "").strip().encode()
        hashes[position] = int.from_bytes(hashlib.blake2b(exact, digest_size=8).digest(), "little")
    return hashes


def row_powers(offsets: Any) -> Any:
    """For each word the power of a fixed odd number that belongs to its place in its text, from 0: uint64."""
    counts = np.diff(offsets)
    powers = np.cumprod(np.full(max(1, int(counts.max(initial=0))), _ROW_BASE, np.uint64))
    return powers[places(offsets)]


def places(offsets: Any) -> Any:
    """For each word its place in its text, from 0: int64."""
    return np.arange(offsets[0], offsets[-1]) - np.repeat(offsets[:-1], np.diff(offsets))


def row_sums(values: Any, offsets: Any) -> Any:
    """The sum of each text's values, modulo 2**64 for uint64."""
    running = np.zeros(len(values) + 1, values.dtype)
    np.cumsum(values, out=running[1:])
    return running[offsets[1:]] - running[offsets[:-1]]


def mixed(values: Any) -> Any:
    """uint64 spread over all bits: the finalizer of splitmix64 (Steele, Lea and Flood, 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _folded(texts: Any) -> Any:
    """Only texts with other than ASCII characters need the slow way."""
    texts = pc.fill_null(texts, "")
    wide = pc.invert(pc.string_is_ascii(texts))
    if not pc.any(wide).as_py():
        return texts
    folded = [_WIDE.sub(_spaced, _compatible(text)) for text in texts.filter(wide).to_pylist()]
    return pc.replace_with_mask(texts, wide, pa.array(folded, texts.type))


def _compatible(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _spaced(match: re.Match[str]) -> str:
    return "".join(map(_as_part_of_words, match.group()))


@cache
def _as_part_of_words(character: str) -> str:
    """Letters, marks and digits stay; a sign or an unspaced letter becomes a word; all else parts words."""
    category = unicodedata.category(character)
    if category[0] == "S" or unicodedata.name(character, "").startswith(_UNSPACED):
        return f" {character} "
    return character if category[0] in "LMN" else " "


def _bytes_of(texts: Any) -> tuple[Any, Any]:
    """All characters of a string array in UTF-8, and where each text begins, with the end of the last."""
    texts = pc.cast(texts, pa.large_string())
    _, offsets, letters = texts.buffers()
    bounds = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    if letters is None:
        return np.zeros(0, np.uint8), bounds
    return np.frombuffer(letters, np.uint8)[bounds[0] : bounds[-1]], bounds - bounds[0]


def _word_bounds(kind: Any, letters: Any, bounds: Any) -> tuple[Any, Any]:
    """Where words begin and end. A sign repeated is one word, and no word reaches over the end of a text."""
    if not len(letters):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    breaks: Any = np.empty(len(letters), bool)
    breaks[0] = True
    np.not_equal(kind[1:], kind[:-1], out=breaks[1:])
    breaks[1:] |= (kind[1:] == _SIGN) & (letters[1:] != letters[:-1])
    breaks[bounds[:-1][bounds[:-1] < len(letters)]] = True
    runs = np.flatnonzero(breaks)
    ends: Any = np.append(runs[1:], len(letters))
    words = kind[runs] != _SEPARATOR
    return runs[words], ends[words]


def _hashed(letters: Any, starts: Any, ends: Any) -> tuple[Any, Any]:
    """Hashes and stems of the words, about a megabyte of text at a time."""
    hashes: Any = np.empty(len(starts), np.uint64)
    stems: Any = np.zeros(len(starts), np.uint64)
    powers, inverses = _powers()
    first = 0
    while first < len(starts):
        after = max(first + 1, int(np.searchsorted(ends, starts[first] + _SPAN, side="right")))
        base = int(starts[first])
        here, there = starts[first:after] - base, ends[first:after] - base
        length = int(there[-1])
        sums: Any = np.zeros(length + 1, np.uint64)
        np.cumsum((letters[base : base + length] + np.uint64(1)) * powers[:length], out=sums[1:])
        back = inverses[here]
        hashes[first:after] = mixed((sums[there] - sums[here]) * back)
        long = (there - here >= LEAST_STEM_BYTES) & (letters[base + here] >= ord("a"))
        cut = np.minimum(there, here + STEM_BYTES)
        stems[first:after] = np.where(long, mixed((sums[cut] - sums[here]) * back), np.uint64(0))
        first = after
    return hashes, stems


@cache
def _tables() -> tuple[Any, Any]:
    """Of each byte its kind, and itself as a small letter."""
    kinds: Any = np.zeros(256, np.uint8)
    kinds[128:] = _LETTER
    lowered: Any = np.arange(256, dtype=np.uint8)
    for code in range(128):
        if chr(code).isalnum() or chr(code) == "_":
            kinds[code] = _LETTER
        elif chr(code) in "+-*/=<>^%&|~#@$\\":
            kinds[code] = _SIGN
        lowered[code] = ord(chr(code).lower())
    return kinds, lowered


@cache
def _powers() -> tuple[Any, Any]:
    count = _SPAN + _LONGEST_WORD + 1
    ones: Any = np.ones(1, np.uint64)
    powers = np.concatenate([ones, np.cumprod(np.full(count - 1, _BASE, np.uint64))])
    inverses = np.concatenate([ones, np.cumprod(np.full(count - 1, _INVERSE, np.uint64))])
    return powers, inverses

"""Shingles of words, their MinHash sketches, and the exact likeness of pairs of texts.

The likeness of two texts is the Jaccard similarity of their sets of shingles, here runs of three words (Broder, "On the
resemblance and containment of documents", 1997). Texts that are alike collide in at least one of `BANDS` bands of
`BAND_HASHES` minimum hashes with probability 1 - (1 - J**4)**16: 0.988 at J = 0.7, 0.9998 at 0.8, and 0.0016 at 0.1
(Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, chapter 3). What collides is verified exactly.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

# With more threads a process that has used rensa could not be forked: the child would wait for threads that it has not.
# Our own processes keep the cores busy. rensa reads it when it is used for the first time.
os.environ["RAYON_NUM_THREADS"] = "1"
from rensa import RMinHash

from tunesmith.data.quality.words import mixed, places

SHINGLE_WORDS = 3
BANDS = 16
BAND_HASHES = 4

Sets = tuple[Any, Any]
"""uint64 values of many texts one after the other, and int64 offsets."""

_SEED = 1_997
_FACTORS = np.array([0xA0761D6478BD642F, 0xE7037ED1A0B428DB, 0x8EBC6AF09C88C6E3], np.uint64)
_ROW_BITS = np.uint64(24)


def shingles(hashes: Any, offsets: Any) -> tuple[Any, Any]:
    """uint64 hashes of each text's shingles, with repeats, and their offsets.

    `hashes`, `offsets`: words as in `words.Words`. A text shorter than a shingle is one shingle; an empty one has none.
    """
    counts = np.diff(offsets)
    left = np.repeat(counts, counts) - places(offsets)
    values = hashes * _FACTORS[0]
    for step in (1, 2):
        shifted: Any = np.zeros(len(hashes), np.uint64)
        shifted[:-step] = hashes[step:]
        values += np.where(left > step, shifted, np.uint64(0)) * _FACTORS[step]
    kept = (left >= SHINGLE_WORDS) | (left == np.repeat(counts, counts))
    found = np.minimum(counts, np.maximum(counts - SHINGLE_WORDS + 1, 1))
    return mixed(values[kept]), np.concatenate([[0], np.cumsum(found)])


def band_keys(shingled: Any, offsets: Any) -> Any:
    """uint64 (texts, BANDS): texts that agree in a column are candidates. So do all without shingles."""
    if len(offsets) == 1:
        return np.zeros((0, BANDS), np.uint64)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(shingled, offsets, BANDS * BAND_HASHES, _SEED)
    sketches = np.array(matrix.to_rows(), np.uint32).view(np.uint64).reshape(len(offsets) - 1, BANDS, 2)
    return mixed(mixed(sketches[:, :, 0]) + sketches[:, :, 1])


def jaccard(left: Sets, right: Sets) -> Any:
    """float64 Jaccard similarity of the sets at each place of two collections.

    Two empty sets are equal: 1.
    """
    rows, codes = _held_by([left, right], len(left[1]) - 1)
    return _share(rows, codes, 3, len(left[1]) - 1)


def compare_parts(left: tuple[Sets, Sets], right: tuple[Sets, Sets]) -> tuple[Any, Any, Any]:
    """Jaccard similarities of the first parts and of the second parts, and whether a difference is carried through.

    It is when a word that one first part has and the other lacks makes the same difference between the second parts.
    """
    total = len(left[0][1]) - 1
    rows, codes = _held_by([left[0], right[0], left[1], right[1]], total)
    carried: Any = np.zeros(total, bool)
    carried[rows[(codes == 0b0101) | (codes == 0b1010)]] = True
    return _share(rows, codes, 0b0011, total), _share(rows, codes, 0b1100, total), carried


def gather(values: Any, starts: Any, counts: Any) -> tuple[Any, Any]:
    """The runs values[start : start + count] one after the other, and their offsets."""
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return values[np.repeat(starts - offsets[:-1], counts) + np.arange(offsets[-1])], offsets


def picked(texts: Sets, positions: Any) -> Sets:
    """The texts at these positions."""
    values, offsets = texts
    return gather(values, offsets[positions], np.diff(offsets)[positions])


def join_rows(left: Sets, right: Sets) -> Sets:
    """Each text of `left` followed by that of `right` at the same place."""
    starts = np.stack([left[1][:-1], right[1][:-1] + len(left[0])], axis=1).ravel()
    counts = np.stack([np.diff(left[1]), np.diff(right[1])], axis=1).ravel()
    values, offsets = gather(np.concatenate([left[0], right[0]]), starts, counts)
    return values, offsets[::2]


def _held_by(collections: list[Sets], total: int) -> tuple[Any, Any]:
    """Of each different value of each text: the text's place, and a bit for every collection that has it there."""
    distinct = [_distinct(*sets) for sets in collections]
    keys = np.concatenate(distinct)
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    bits = np.repeat(1 << np.arange(len(distinct)), [len(one) for one in distinct])[order]
    first = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)])
    codes = np.add.reduceat(bits, first) if len(first) else bits
    return (keys[first] >> (np.uint64(64) - _ROW_BITS)).astype(np.int64), codes


def _share(rows: Any, codes: Any, mask: int, total: int) -> Any:
    common = np.bincount(rows[codes & mask == mask], minlength=total)
    union = np.bincount(rows[codes & mask != 0], minlength=total)
    return np.where(union, common / np.maximum(union, 1), 1.0)


def _distinct(values: Any, offsets: Any) -> Any:
    """Sorted keys of row and value, each once: 24 bits of row, 40 of value."""
    rows: Any = np.repeat(np.arange(len(offsets) - 1, dtype=np.uint64), np.diff(offsets))
    keys = (rows << (np.uint64(64) - _ROW_BITS)) | ((values * _FACTORS[0]) >> _ROW_BITS)
    keys.sort()
    first: Any = np.ones(len(keys), bool)
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    return keys[first]

"""Wording that many rows begin or end with: the template or system prompt around what a row really asks.

Left in, it makes all rows of a templated dataset look like copies of one another. A run of words at the beginning of
questions is such wording when many rows share it and go on in many different ways: a text that merely occurs often
goes on in the same way each time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tunesmith.data.quality.shingles import Sets, gather
from tunesmith.data.quality.words import mixed, places, row_powers

LEAST_ROWS = 20
LEAST_SHARE = 0.01
"""Shared by so many rows of the sample, and by so large a share of them."""
LEAST_WAYS = 10
"""Different next words."""
LEAST_WORDS = 5
"""Shorter beginnings are how sentences begin, and tell questions apart. So must wording within wording go on."""
MOST_WORDS = 2_000

Lengths = dict[int, Any]
"""Number of words -> sorted uint64 hashes of the wordings so long."""


@dataclass(frozen=True)
class Openings:
    """Common beginnings and endings."""

    beginnings: Lengths
    endings: Lengths

    def condensed(self, hashes: Any, offsets: Any) -> Sets:
        """Texts (words and offsets) with each common wording as one word; as they are where nothing else is left."""
        if not self.beginnings and not self.endings:
            return hashes, offsets
        starts, ends, running = offsets[:-1], offsets[1:], _running(hashes, offsets)
        reverse = _backwards(hashes, offsets)
        running_back = _running(*reverse)
        front, back = (
            _longest(running, offsets, self.beginnings),
            _longest(running_back, offsets, self.endings),
        )
        whole = front + back >= ends - starts
        front, back = np.where(whole, 0, front), np.where(whole, 0, back)
        hashes = hashes.copy()
        begun, ended = np.flatnonzero(front), np.flatnonzero(back)
        hashes[starts[begun] + front[begun] - 1] = running[starts[begun] + front[begun] - 1]
        hashes[ends[ended] - back[ended]] = running_back[starts[ended] + back[ended] - 1]
        first, last = starts + np.maximum(front - 1, 0), ends - np.maximum(back - 1, 0)
        return gather(hashes, first, last - first)


def find_openings(hashes: Any, offsets: Any) -> Openings:
    """Learn the wordings from a sample of questions, as words."""
    return Openings(_common(hashes, offsets), _common(*_backwards(hashes, offsets)))


def _common(hashes: Any, offsets: Any) -> Lengths:
    counts, running = np.diff(offsets), _running(hashes, offsets)
    least = max(LEAST_ROWS, int(LEAST_SHARE * len(counts)))
    rows = np.flatnonzero(counts > 1)
    known_to: Any = np.zeros(len(counts), np.int64)
    found: Lengths = {}
    for length in range(1, MOST_WORDS):
        rows = rows[counts[rows] > length]
        prefixes, group, sizes = np.unique(
            running[offsets[rows] + length - 1], return_inverse=True, return_counts=True
        )
        follows = hashes[offsets[rows] + length]
        continued = np.unique(np.stack([group.astype(np.uint64), follows]), axis=1)[0].astype(np.int64)
        ways = np.bincount(continued, minlength=len(prefixes))
        new = (length - known_to[rows] >= LEAST_WORDS) & ((sizes >= least) & (ways >= LEAST_WAYS))[group]
        known_to[rows[new]] = length
        if new.any():
            found[length] = np.unique(prefixes[group[new]])
        rows = rows[sizes[group] >= least]
        if not len(rows):
            break
    return found


def _longest(running: Any, offsets: Any, lengths: Lengths) -> Any:
    """For each text the length of the longest known wording that it begins with, or 0."""
    counts = np.diff(offsets)
    result: Any = np.zeros(len(counts), np.int64)
    for length, known in sorted(lengths.items()):
        rows = np.flatnonzero(counts >= length)
        prefixes = running[offsets[rows] + length - 1]
        places_in = np.minimum(np.searchsorted(known, prefixes), len(known) - 1)
        result[rows[known[places_in] == prefixes]] = length
    return result


def _running(hashes: Any, offsets: Any) -> Any:
    """At each word a hash of its text up to and with it."""
    sums = np.cumsum(mixed(hashes) * row_powers(offsets))
    before = np.concatenate([np.zeros(1, np.uint64), sums])[offsets[:-1]]
    return sums - np.repeat(before, np.diff(offsets))


def _backwards(hashes: Any, offsets: Any) -> Sets:
    """Every text with its words in reverse."""
    last: Any = np.repeat(offsets[1:] - 1, np.diff(offsets))
    return hashes[last - places(offsets)], offsets

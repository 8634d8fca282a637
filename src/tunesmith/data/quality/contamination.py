"""Rows that give away a held-out set: the same questions, near copies of them, or long stretches of their text.

A row overlaps with a reference (a held-out row) when one of these holds:

- same question: equal words in equal order, after normalisation (of a plain text: the text itself);
- near copy: the questions' three-word shingles have a Jaccard similarity of at least `QUESTION_LIKENESS`, wording that
  many questions share left aside. Candidates are found by MinHash, as for near-duplicates;
- long overlap: the row holds at least `LEAST_SHARE` of the runs of eight words in the reference's question and answer.
  Eight words and 70 % are the rule of PaLM (Chowdhery et al., 2022, section 8). As for GPT-3 (Brown et al., 2020,
  appendix C), runs that occur in more than `COMMON_ROWS` rows say nothing and are left aside. A reference of fewer than
  `LEAST_RUNS` such runs is too short to be judged in this way; the first two rules are for short texts.

The references are indexed in memory, some 2 kB each; rows stream past.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc

from tunesmith.data.quality.openings import Openings
from tunesmith.data.quality.shingles import (
    BANDS,
    Sets,
    band_keys,
    gather,
    jaccard,
    join_rows,
    picked,
    shingles,
)
from tunesmith.data.quality.words import Words, join_words, mixed, places, split, text_hashes

QUESTION_LIKENESS = 0.7
RUN_WORDS = 8
LEAST_SHARE = 0.7
COMMON_ROWS = 10
LEAST_RUNS = 8

_FILTER_BITS_A_VALUE = 16
_FACTOR = np.uint64(0x9FB21C651E98DF25)


@dataclass(frozen=True)
class Texts:
    """Questions and answers of some rows as words, and what tells equal questions: uint64, one a row."""

    questions: Words
    answers: Words
    identities: Any

    def __len__(self) -> int:
        return len(self.identities)


@dataclass(frozen=True)
class Overlaps:
    """What a batch of rows shares with the references.

    `pairs`: int64 (n, 2), row and reference, of the same or nearly the same question. `runs`: int64 (m, 2), row and
    number of a run of eight words, for `Index.containing`.
    """

    pairs: Any
    runs: Any


def join_texts(portions: Sequence[Texts]) -> Texts:
    """Several portions as one."""
    return Texts(
        join_words([portion.questions for portion in portions]),
        join_words([portion.answers for portion in portions]),
        np.concatenate([portion.identities for portion in portions]),
    )


def as_texts(asked: Any, answers: Any) -> Texts:
    """Two Arrow string arrays, as words. A row that asks nothing is known by its answer, which is a plain text."""
    plain = pc.equal(pc.utf8_trim_whitespace(asked), "")
    if pc.any(plain).as_py():
        asked, answers = pc.if_else(plain, answers, asked), pc.if_else(plain, "", answers)
    questions = split(asked)
    return Texts(questions, split(answers), text_hashes(questions, asked))


class Index:
    """References to look for. `openings` is the common wording of the rows' questions."""

    def __init__(self, references: Texts, openings: Openings) -> None:
        self._openings = openings
        self._size = len(references)
        self._identities = _Lookup(references.identities, np.arange(self._size))
        self._questions = self._shingled(references)
        keys = _told_apart(band_keys(*self._questions))
        self._bands = _Lookup(keys.ravel(), np.repeat(np.arange(self._size), BANDS))
        rows, runs = _runs(self._whole(references))
        self._runs = _Lookup(*_each_once(runs, rows))

    def overlaps(self, rows: Texts) -> Overlaps:
        """Compare a batch of rows with all references."""
        same = np.stack(self._identities.find(rows.identities), axis=1)
        questions = self._shingled(rows)
        placed, candidates = self._bands.find(_told_apart(band_keys(*questions)).ravel())
        pairs = unique_pairs(placed // BANDS, candidates)
        likeness = jaccard(picked(questions, pairs[:, 0]), picked(self._questions, pairs[:, 1]))
        says_something = np.diff(questions[1])[pairs[:, 0]] > 0
        near = np.concatenate([same, pairs[(likeness >= QUESTION_LIKENESS) & says_something]])
        held_by, runs = _runs(self._whole(rows))
        found, numbers = self._runs.first(runs)
        return Overlaps(unique_pairs(near[:, 0], near[:, 1]), unique_pairs(held_by[found], numbers))

    def containing(self, runs: Any) -> Any:
        """int64 (n, 2), row and reference: the rows that hold a long stretch of a reference.

        `runs`: those of `overlaps` for all rows together, the rows numbered through.
        """
        rows_with = np.bincount(runs[:, 1], minlength=self._runs.total)
        telling = rows_with <= COMMON_ROWS
        of_reference = np.bincount(self._runs.entries[telling[self._runs.firsts]], minlength=self._size)
        kept = runs[telling[runs[:, 1]]]
        placed, references = self._runs.entries_of(kept[:, 1])
        pairs, shared = np.unique(_codes(kept[placed, 0], references), return_counts=True)
        pairs = _pairs(pairs)
        of = of_reference[pairs[:, 1]]
        return pairs[(of >= LEAST_RUNS) & (shared >= LEAST_SHARE * of)]

    def _shingled(self, texts: Texts) -> Sets:
        return shingles(*self._openings.condensed(texts.questions.hashes, texts.questions.offsets))

    def _whole(self, texts: Texts) -> Sets:
        question = self._openings.condensed(texts.questions.hashes, texts.questions.offsets)
        return join_rows(question, (texts.answers.hashes, texts.answers.offsets))


def fewest_rows(runs: Any) -> Any:
    """`Overlaps.runs` without those that `containing` would leave aside anyway, so that they take little memory.

    Of each run so many rows stay that it still is too common, if it was.
    """
    order = np.lexsort((runs[:, 0], runs[:, 1]))
    values = runs[order, 1]
    earlier: Any = np.arange(len(order)) - np.searchsorted(values, values)
    return runs[order[earlier <= COMMON_ROWS]]


class _Lookup:
    """uint64 values, in any number of entries each, found in arrays of values at once.

    `entries` are sorted by value. `firsts`, beside them, is for each the place of the first with its value.
    """

    def __init__(self, values: Any, entries: Any) -> None:
        order = np.argsort(values, kind="stable")
        self._values, self.entries = values[order], entries[order]
        self.total = len(values)
        self.firsts = np.searchsorted(self._values, self._values)
        self._counts = np.searchsorted(self._values, self._values, side="right") - self.firsts
        self._shift = np.uint64(64 - max(10, (_FILTER_BITS_A_VALUE * max(1, self.total)).bit_length()))
        self._filter: Any = np.zeros(1 << (64 - int(self._shift)), bool)
        self._filter[values >> self._shift] = True

    def first(self, values: Any) -> tuple[Any, Any]:
        """Positions in `values` of those that are there, and the place of the first entry of each."""
        maybe = np.flatnonzero(self._filter[values >> self._shift])
        if not len(maybe):
            return maybe, maybe
        wanted = values[maybe]
        at: Any = np.searchsorted(self._values, wanted)
        there = self._values[np.minimum(at, self.total - 1)] == wanted
        return maybe[there], at[there]

    def entries_of(self, firsts: Any) -> tuple[Any, Any]:
        """For places of first entries: their positions, once for each entry with that value, and these entries."""
        counts = self._counts[firsts]
        return np.repeat(np.arange(len(firsts)), counts), gather(self.entries, firsts, counts)[0]

    def find(self, values: Any) -> tuple[Any, Any]:
        """Positions in `values`, once for each entry, and these entries."""
        found, firsts = self.first(values)
        positions, entries = self.entries_of(firsts)
        return found[positions], entries


def unique_pairs(left: Any, right: Any) -> Any:
    """int64 (n, 2): the different pairs, sorted. Both are below 2**31."""
    return _pairs(np.unique(_codes(left, right)))


def _codes(left: Any, right: Any) -> Any:
    return (left.astype(np.int64) << 32) | right


def _pairs(codes: Any) -> Any:
    return np.stack([codes >> 32, codes & 0xFFFFFFFF], axis=1)


def _told_apart(keys: Any) -> Any:
    """Band keys (rows, BANDS) as values that also tell the bands apart."""
    return mixed(keys + np.arange(BANDS, dtype=np.uint64) * _FACTOR)


def _runs(words: Sets) -> tuple[Any, Any]:
    """Every run of eight words: the text it is in, and its hash."""
    hashes, offsets = words
    value, step = hashes, 1
    while step < RUN_WORDS:
        shifted: Any = np.zeros(len(value), np.uint64)
        shifted[:-step] = value[step:]
        value = mixed(value * _FACTOR + shifted)
        step *= 2
    counts = np.diff(offsets)
    whole = np.repeat(counts, counts) - places(offsets) >= RUN_WORDS
    return np.repeat(np.arange(len(counts)), counts)[whole], value[whole]


def _each_once(values: Any, entries: Any) -> tuple[Any, Any]:
    order = np.lexsort((entries, values))
    values, entries = values[order], entries[order]
    new: Any = np.ones(len(values), bool)
    new[1:] = (values[1:] != values[:-1]) | (entries[1:] != entries[:-1])
    return values[new], entries[new]

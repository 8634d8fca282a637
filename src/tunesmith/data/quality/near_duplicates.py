"""Rows that are near copies of earlier rows, and rows that answer the same question differently.

Two rows are near copies when their whole texts are alike (Jaccard similarity of three-word shingles at least
`WHOLE_LIKENESS`) and so are, more loosely, their questions and their answers, each as a set of words. The first test
is the usual one (Broder, 1997; Mining of Massive Datasets, chapter 3; 0.7 as for The Stack, Kocetkov et al., 2022): one
changed word in 17 still passes, and a question of ten words with another name in it does not. The others keep apart
different questions with the same long answer, such as a refusal, and different questions about the same long passage.
Nor are two rows copies when a word tells both their questions and their answers apart ("largest city in Texas" and "in
Kansas", with the same query around the name): they are two facts in one form.

A row conflicts with an earlier one when both ask the same, word for word after normalisation, and the answers
have less than half of their words in common. Nearly the same question is no conflict: the word that differs is most
often what the question is about.

Memory: words and sketches lie in scratch files; one band of sketches (8 bytes a row) is in memory at a time.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.parallel import Beat, Tell, ordered_map
from tunesmith.data.quality.groups import Groups
from tunesmith.data.quality.shingles import BANDS, Sets, compare_parts, jaccard, join_rows, picked, shingles
from tunesmith.data.quality.sketches import SketchedRows, sample_openings, sketch
from tunesmith.data.rows import row_groups

WHOLE_LIKENESS = 0.7
QUESTION_LIKENESS = 0.6
ANSWER_LIKENESS = 0.6
SAME_ANSWER_LIKENESS = 0.5
"""Answers to one question that are less alike than this contradict each other."""


@dataclass(frozen=True)
class Copies:
    """int64, one a row: the position, from 0, of the earlier row that this one copies or contradicts, or -1.

    A near copy points to the first row of its group: the rows that near copies link.
    """

    originals: Any
    contradicted: Any


def find_copies(path: Path, scratch: Path, workers: int, beat: Beat) -> Copies:
    """Compare all stored rows with each other. `scratch` is an existing folder; `beat` hears the share done, 0 to 1.

    Raises:
        UnreadableSource: the rows are missing or damaged.
        DiskFull, StorageFailed: no room for about 500 bytes a row of ordinary length.
    """
    pieces = row_groups(path)
    folder = Path(tempfile.mkdtemp(prefix="copies-", dir=scratch))
    try:
        rows = SketchedRows(folder)
        function = partial(sketch, openings=sample_openings(pieces), folder=folder)
        for piece in ordered_map(
            function, list(enumerate(pieces)), workers, lambda done: beat(0.6 * done / len(pieces))
        ):
            rows.add(piece)
        originals = _originals(rows, workers, lambda done: beat(0.6 + 0.35 * done / BANDS))
        contradicted = _contradicted(rows, workers, lambda done: beat(0.95 + 0.05 * done))
        return Copies(originals, contradicted)
    finally:
        shutil.rmtree(folder)


def _originals(rows: SketchedRows, workers: int, beat: Beat) -> Any:
    """For each row the first row of its group, or -1.

    A few bands at a time: rows that one band has linked, or has compared in vain, need not be compared again.
    """
    groups = Groups(rows.total)
    compared: Any = np.zeros(0, np.int64)
    for first in range(0, BANDS, workers):
        bands = range(first, min(BANDS, first + workers))
        found = ordered_map(partial(_candidates, rows=rows), bands, workers, lambda _: None)
        codes = np.unique(np.concatenate([_codes(groups.unlinked(pairs), rows.total) for pairs in found]))
        codes = codes[~np.isin(codes, compared)]
        compared = np.concatenate([compared, codes])
        blocks = rows.blocks(np.stack([codes // rows.total, codes % rows.total], axis=1))
        for near in ordered_map(partial(_near_pairs, rows=rows), blocks, workers, lambda _: None):
            groups.link(near)
        beat(float(first))
    return groups.originals()


def _codes(pairs: Any, total: int) -> Any:
    """One int64 a pair."""
    return pairs[:, 0] * total + pairs[:, 1]


def _candidates(band: int, tell: Tell, rows: SketchedRows) -> Any:
    """int64 (n, 2): rows with equal keys, each paired with the one before it and with the first of them."""
    keys = rows.band(band)
    order = np.argsort(keys, kind="stable")
    order = order[(rows.asked + rows.answered)[order] > 0]  # a row without words is no copy of another
    ordered = keys[order]
    equal: Any = np.flatnonzero(ordered[1:] == ordered[:-1]) + 1
    began: Any = np.ones(len(order), bool)
    began[equal] = False
    firsts = np.maximum.accumulate(np.where(began, np.arange(len(order)), 0))[equal]
    neighbours = np.stack([order[equal - 1], order[equal]], axis=1)
    with_first = np.stack([order[firsts], order[equal]], axis=1)[firsts < equal - 1]
    return np.concatenate([neighbours, with_first])


def _near_pairs(pairs: Any, tell: Tell, rows: SketchedRows) -> Any:
    """Those of the pairs that are near copies."""
    left, right = rows.read(pairs[:, 0]), rows.read(pairs[:, 1])
    whole = jaccard(shingles(*join_rows(*left)), shingles(*join_rows(*right)))
    likely = np.flatnonzero(whole >= WHOLE_LIKENESS)
    questions, answers, carried = compare_parts(_only(left, likely), _only(right, likely))
    near = (questions >= QUESTION_LIKENESS) & (answers >= ANSWER_LIKENESS) & ~carried
    return pairs[likely[near]]


def _only(parts: tuple[Sets, Sets], positions: Any) -> tuple[Sets, Sets]:
    return picked(parts[0], positions), picked(parts[1], positions)


def _contradicted(rows: SketchedRows, workers: int, beat: Beat) -> Any:
    """For each row the first row that asks the same and answers otherwise, or -1."""
    order = np.argsort(rows.questions, kind="stable")
    ordered = rows.questions[order]
    began: Any = np.ones(len(order), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=began[1:])
    firsts = np.maximum.accumulate(np.where(began, np.arange(len(order)), 0))
    later = np.flatnonzero(~began & (ordered != 0))
    blocks = rows.blocks(np.stack([order[firsts[later]], order[later]], axis=1))
    contradicted: Any = np.full(rows.total, -1, np.int64)
    for pairs in ordered_map(
        partial(_different_answers, rows=rows), blocks, workers, lambda done: beat(done / max(1, len(blocks)))
    ):
        contradicted[pairs[:, 1]] = pairs[:, 0]
    return contradicted


def _different_answers(pairs: Any, tell: Tell, rows: SketchedRows) -> Any:
    likeness = jaccard(rows.read(pairs[:, 0])[1], rows.read(pairs[:, 1])[1])
    return pairs[likeness < SAME_ANSWER_LIKENESS]

"""Rows of a dataset by position, and how they relate to others: a piece at a time, in several processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from tunesmith.data.golden_features import SIMHASH_BITS, simhashes
from tunesmith.data.golden_set import Likeness
from tunesmith.data.parallel import Beat, Tell, ordered_map
from tunesmith.data.quality.contamination import Index, Overlaps, Texts, as_texts, fewest_rows
from tunesmith.data.quality.openings import Openings
from tunesmith.data.quality.sketches import sample_openings
from tunesmith.data.quality.stored_texts import TEXT_COLUMNS, asked_and_answers
from tunesmith.data.rows import Row, RowGroups, rows_of

REFERENCES_AT_ONCE = 100_000
"""References indexed at a time; for more, the rows are gone through again."""


class StoredTexts:
    """The rows of a dataset, known by their positions from 0."""

    def __init__(self, pieces: Sequence[RowGroups], workers: int) -> None:
        self.pieces = list(pieces)
        self.starts: Any = np.concatenate([[0], np.cumsum([piece.rows for piece in pieces])]).astype(np.int64)
        self._workers = workers
        self._openings: Openings | None = None

    @property
    def total(self) -> int:
        """How many rows there are."""
        return int(self.starts[-1])

    @property
    def openings(self) -> Openings:
        """The wording that many questions share."""
        if self._openings is None:
            self._openings = sample_openings(self.pieces)
        return self._openings

    def texts(self, positions: Any) -> Texts:
        """The texts at these positions, in the order given."""
        order = np.argsort(positions, kind="stable")
        read = ordered_map(_read_texts, self._tasks(positions[order]), self._workers, lambda _: None)
        columns = [list(column) for column in zip(*read, strict=True)] or [[], []]
        back = np.argsort(order, kind="stable")
        asked, answers = (
            pa.chunked_array(column, pa.string()).combine_chunks().take(pa.array(back)) for column in columns
        )
        return as_texts(asked, answers)

    def rows(self, positions: Any) -> Iterator[Row]:
        """The rows at these ascending positions."""
        for task in self._tasks(positions):
            start = 0
            for batch in task.piece.tables():
                yield from rows_of(task.part_of(batch, start))
                start += len(batch)

    def likeness(self, positions: Any) -> Likeness:
        """How the rows at these positions lie to each other."""
        texts = self.texts(positions)
        index = Index(texts, self.openings)
        found = index.overlaps(texts)
        near = np.concatenate([found.pairs, index.containing(found.runs)])
        return Likeness(near, simhashes(texts, SIMHASH_BITS))

    def overlaps(self, references: Texts, beat: Beat) -> Any:
        """int64 (n, 2): rows and the references that they overlap with. `beat` hears the number of pieces done."""
        index = Index(references, self.openings)
        pairs: list[Any] = []
        runs: list[Any] = []
        compared = ordered_map(partial(_overlaps, index=index), self.pieces, self._workers, beat)
        for start, found in zip(self.starts, compared, strict=False):
            pairs.append(found.pairs + np.array([start, 0]))
            runs.append(found.runs + np.array([start, 0]))
        return np.concatenate([*pairs, index.containing(np.concatenate(runs))])

    def _tasks(self, positions: Any) -> list[_Task]:
        """For each piece that holds some of the ascending positions: which of its rows."""
        bounds: Any = np.searchsorted(positions, self.starts)
        return [
            _Task(piece, positions[first:last] - start)
            for piece, start, first, last in zip(
                self.pieces, self.starts[:-1], bounds[:-1], bounds[1:], strict=True
            )
            if first < last
        ]


def reference_texts(pieces: Sequence[RowGroups]) -> Iterator[Texts]:
    """All rows of another dataset, as references, in portions that fit into memory."""
    batches: list[Any] = []
    held = 0
    for piece in pieces:
        for batch in piece.tables(TEXT_COLUMNS):
            batches.append(asked_and_answers(batch))
            held += len(batch)
            if held >= REFERENCES_AT_ONCE:
                yield _together(batches)
                batches, held = [], 0
    if batches:
        yield _together(batches)


@dataclass(frozen=True)
class _Task:
    """Rows of a piece, by their places in it, ascending."""

    piece: RowGroups
    places: Any

    def part_of(self, batch: Any, start: int) -> Any:
        """Those of its rows that are in a batch that begins at `start`."""
        first = np.searchsorted(self.places, start)
        last = np.searchsorted(self.places, start + len(batch))
        return batch.take(pa.array(self.places[first:last] - start))


def _read_texts(task: _Task, tell: Tell) -> tuple[Any, Any]:
    batches, start = [], 0
    for batch in task.piece.tables(TEXT_COLUMNS):
        batches.append(asked_and_answers(task.part_of(batch, start)))
        start += len(batch)
    asked, answers = ([pair[side] for pair in batches] for side in (0, 1))
    return pa.concat_arrays(asked), pa.concat_arrays(answers)


def _overlaps(piece: RowGroups, tell: Tell, index: Index) -> Overlaps:
    pairs, runs, done = [], [], 0
    for batch in piece.tables(TEXT_COLUMNS):
        found = index.overlaps(as_texts(*asked_and_answers(batch)))
        pairs.append(found.pairs + np.array([done, 0]))
        runs.append(found.runs + np.array([done, 0]))
        done += len(batch)
        tell(done / piece.rows)
    return Overlaps(np.concatenate(pairs), fewest_rows(np.concatenate(runs)))


def _together(batches: list[Any]) -> Texts:
    asked, answers = ([pair[side] for pair in batches] for side in (0, 1))
    return as_texts(pa.concat_arrays(asked), pa.concat_arrays(answers))

"""Which rows have which defect: counted, listed and stored, however many there are."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tunesmith.jobs.files import storage_errors
from tunesmith.schemas.errors import UnreadableSource

NO_ROW = -1
"""Stands in `of` where a defect is about one row alone."""

_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("kind", pa.dictionary(pa.int16(), pa.string())),
        ("of", pa.int64()),
        ("kept", pa.bool_()),
    ]
)


class Flags:
    """Kinds of defect and the source row numbers that have them. A row may have several kinds, each once.

    `of` is the row that a duplicate repeats or contradicts.
    """

    def __init__(self) -> None:
        self._rows: dict[str, array[int]] = {}
        self._of: dict[str, array[int]] = {}

    def add(self, kind: str, row: int, of: int = NO_ROW) -> None:
        """Remember one row."""
        self._rows.setdefault(kind, array("q")).append(row)
        self._of.setdefault(kind, array("q")).append(of)

    def add_all(self, kind: str, rows: Iterable[int], of: Iterable[int]) -> None:
        """Remember many, each with the row it is about."""
        self._rows.setdefault(kind, array("q")).extend(rows)
        self._of.setdefault(kind, array("q")).extend(of)

    def merge(self, other: Flags, offset: int = 0) -> None:
        """Add what another process found; `offset` is added to its row numbers."""
        for kind in other.kinds():
            rows, of = other.rows(kind) + offset, other.of(kind)
            self.add_all(kind, rows.tolist(), np.where(of == NO_ROW, NO_ROW, of + offset).tolist())

    def withdraw(self, kind: str) -> None:
        """Forget a kind."""
        self._rows.pop(kind, None)
        self._of.pop(kind, None)

    def kinds(self) -> list[str]:
        """The kinds that at least one row has."""
        return [kind for kind, rows in self._rows.items() if rows]

    def count(self, kind: str) -> int:
        """How many rows have it."""
        return len(self._rows.get(kind, ()))

    def rows(self, kind: str) -> Any:
        """Their numbers, int64[count], in the order they were added."""
        return np.array(self._rows.get(kind, ()), dtype=np.int64)

    def of(self, kind: str) -> Any:
        """int64[count] beside `rows`: the row that each is about, or NO_ROW."""
        return np.array(self._of.get(kind, ()), dtype=np.int64)

    def rows_with_any(self, kinds: Iterable[str]) -> Any:
        """The numbers of the rows that have at least one of the kinds, int64, sorted."""
        found = [self.rows(kind) for kind in kinds]
        return np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)


def write_flags(path: Path, dropped: Flags, found: Flags) -> None:
    """Store, sorted by kind and row, what was left out and what was found on rows that were kept.

    Raises:
        DiskFull, StorageFailed: nothing useful was written.
    """
    with storage_errors(path), pq.ParquetWriter(path, _SCHEMA) as writer:
        for flags, kept in ((dropped, False), (found, True)):
            for kind in sorted(flags.kinds()):
                rows, of = flags.rows(kind), flags.of(kind)
                order = np.argsort(rows, kind="stable")
                columns = {
                    "row": rows[order],
                    "kind": pa.array([kind] * len(rows), _SCHEMA.field("kind").type),
                    "of": pa.array(of[order], mask=of[order] == NO_ROW),
                    "kept": np.full(len(rows), kept),
                }
                writer.write_table(pa.table(columns, schema=_SCHEMA))


def read_flags(path: Path) -> tuple[Flags, Flags]:
    """What `write_flags` stored: (dropped, found).

    Raises:
        UnreadableSource: the file is missing or damaged.
    """
    dropped, found = Flags(), Flags()
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(use_threads=False):
                _add_batch(batch, dropped, found)
    except (OSError, pa.ArrowException) as error:
        raise UnreadableSource(
            f"The quality report's rows of {path.parent.name} are missing or damaged.",
            "Load the dataset again with load_dataset.",
        ) from error
    return dropped, found


def _add_batch(batch: Any, dropped: Flags, found: Flags) -> None:
    kinds = batch.column("kind").cast(pa.string()).to_numpy(zero_copy_only=False)
    rows = batch.column("row").to_numpy()
    of = batch.column("of").fill_null(NO_ROW).to_numpy()
    kept = batch.column("kept").to_numpy(zero_copy_only=False)
    for kind, is_kept in _groups(kinds, kept):
        mask = (kinds == kind) & (kept == is_kept)
        (found if is_kept else dropped).add_all(kind, rows[mask].tolist(), of[mask].tolist())


def _groups(kinds: Any, kept: Any) -> Iterator[tuple[str, bool]]:
    return iter(dict.fromkeys(zip(kinds.tolist(), kept.tolist(), strict=True)))

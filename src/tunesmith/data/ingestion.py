"""From the parts of a source to stored rows, in several processes: read, shape, number, leave out copies."""

from __future__ import annotations

import hashlib
import os
import shutil
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tunesmith.data.parallel import Beat, Tell, collector_off, ordered_map
from tunesmith.data.quality.flags import Flags
from tunesmith.data.reading.meter import Meter
from tunesmith.data.reading.parts import LinePart, Part
from tunesmith.data.reading.source_row import SourceBlock, SourceRow
from tunesmith.data.rows import SCHEMAS, Row, RowTable, as_table, digest_of, part_files
from tunesmith.data.shaping.layouts import Layouts
from tunesmith.data.shaping.texts import Unfit
from tunesmith.jobs.files import fsync_folder, storage_errors
from tunesmith.schemas.datasets import RowKind

BATCH_ROWS = 2_000
BATCH_BYTES = 8_000_000
"""What a worker holds before it writes: both bound its memory."""
_SEEN = 200_000
"""Digests of a part in which copies are looked for while it is written; others are found at the end, at more cost."""
_TELL_EVERY_ROWS = 512
# Prose has few repeated values, so that dictionaries only cost time; Snappy would halve the file, and take as long as
# everything else that is done to a row after it has been parsed.
_PARQUET: dict[str, Any] = {"compression": "none", "use_dictionary": False, "write_statistics": False}


@dataclass
class Ledger:
    """What happened to rows on their way: `dropped` by reason, `changed` by what was done to them.

    `read` rows were looked at; `numbers` row numbers were used, those of rows nobody sees included. `shapes`
    counts the forms that rows were found in.
    """

    dropped: Flags = field(default_factory=Flags)
    changed: Flags = field(default_factory=Flags)
    shapes: Counter[str] = field(default_factory=Counter)
    read: int = 0
    numbers: int = 0


class RowSource(Protocol):
    """A piece of rows that another process can produce: picklable, and independent of the pieces before it."""

    def rows(self, ledger: Ledger, tell: Tell, limit: int | None) -> Iterator[Row | RowTable]:
        """At most `limit` rows are read; what was read and what was left out goes into the ledger."""


@dataclass(frozen=True)
class PartRows:
    """A part of a source, in the shape that was found for it."""

    part: Part
    layouts: Layouts

    def rows(self, ledger: Ledger, tell: Tell, limit: int | None) -> Iterator[Row | RowTable]:
        """The part's usable rows, numbered from 1; where many usual ones follow one another, as tables."""
        meter = Meter()
        convert = self.layouts.convert
        told = 0
        for found in self._blocks(meter, limit):
            table = self.layouts.convert_block(found) if isinstance(found, SourceBlock) else None
            if table is not None:
                ledger.read += len(table)
                yield table
            else:
                for source_row in (found,) if isinstance(found, SourceRow) else found.rows():
                    ledger.read += 1
                    try:
                        yield convert(source_row)
                    except Unfit as unfit:
                        ledger.dropped.add(unfit.reason, source_row.number)
            if ledger.read - told >= _TELL_EVERY_ROWS:
                told = ledger.read
                tell(meter.share)
        ledger.numbers = self.part.numbers
        ledger.shapes = self.layouts.shapes

    def _blocks(self, meter: Meter, limit: int | None) -> Iterator[SourceRow | SourceBlock]:
        if limit is None and isinstance(self.part, LinePart):
            return self.part.blocks(meter)
        return islice(self.part.rows(meter), limit)


@dataclass(frozen=True)
class Ingested:
    """What became of the rows read: `rows` were kept; `dropped` says why others were not."""

    rows: int
    rows_read: int
    dropped: Flags
    changed: Flags
    shapes: dict[str, int]
    row_kind: RowKind
    fingerprint: str


@dataclass(frozen=True)
class _Task:
    source: RowSource
    row_kind: RowKind
    target: Path
    offset: int
    limit: int | None = None


@dataclass
class _PartResult:
    """Row numbers int64[rows], within the part, and digests (16 bytes each) of the usable rows; `plain` of them are
    no conversations. `written`, bool[rows], are those in the file, where `offset` has been added to their numbers."""

    target: Path
    offset: int
    ledger: Ledger
    digests: bytes
    row_numbers: Any
    written: Any
    plain: int
    misfit: bool


@dataclass(frozen=True)
class _Finish:
    """What is left to do to a part file: keep[rows] as bytes, and what its row numbers lack."""

    target: Path
    keep: bytes
    offset: int


def ingest(
    sources: Sequence[RowSource],
    row_kind: RowKind,
    folder: Path,
    workers: int,
    beat: Beat,
    limit: int | None = None,
) -> Ingested | None:
    """Write the rows of all sources into `folder` as part files, in order, each content once.

    `limit` is the number of rows to read at most; `beat` hears the number of sources done. None when a row turned
    out to be of another kind than `row_kind`: then everything has to be read again, as "mixed".

    Raises:
        TunesmithError: a source cannot be read, or the disk is full.
    """
    shutil.rmtree(folder, ignore_errors=True)
    with storage_errors(folder):
        folder.mkdir(parents=True)
    tasks = [
        _Task(source, row_kind, folder / f"part-{number:05d}.parquet", offset)
        for number, (source, offset) in enumerate(zip(sources, _offsets(sources, workers), strict=True))
    ]
    results: list[_PartResult] = []
    for result in _results(tasks, limit, workers, beat):
        if result.misfit:
            return None
        results.append(result)
    return _finish(results, workers, partial(beat, len(tasks)))


def commit_parts(folder: Path, final: Path) -> None:
    """Make ingested rows durable and put them in their place.

    Raises:
        DiskFull, StorageFailed: nothing stands at `final`.
    """
    with storage_errors(final):
        for part in part_files(folder):
            with part.open("rb") as file:
                os.fsync(file.fileno())
        fsync_folder(folder)
        shutil.rmtree(final, ignore_errors=True)  # of an attempt that ended before its result was written
        folder.replace(final)
        fsync_folder(final.parent)


def _results(tasks: list[_Task], limit: int | None, workers: int, beat: Beat) -> Iterator[_PartResult]:
    if limit is None:
        yield from ordered_map(_write_part, tasks, workers, beat)
        return
    for done, task in enumerate(tasks):  # how far to read a source hangs on those before it
        result = _write_part(replace(task, limit=limit), partial(_beat_within, beat, done))
        limit -= result.ledger.read
        yield result
        if limit <= 0:
            return


def _offsets(sources: Sequence[RowSource], workers: int) -> list[int]:
    """The row numbers before each source's, where they are quick to count: its part is not written twice then."""
    parts = [source.part if isinstance(source, PartRows) else None for source in sources]
    lines = [part for part in parts if isinstance(part, LinePart)]
    if len(lines) < len(parts):
        return [0] * len(sources)
    return [0, *accumulate(ordered_map(_count_lines, lines, workers, lambda _: None))][: len(sources)]


def _count_lines(part: LinePart, _: Tell) -> int:
    return part.count_lines()


def _beat_within(beat: Beat, done: int, share: float) -> None:
    beat(done + share)


def _write_part(task: _Task, tell: Tell) -> _PartResult:
    ledger = Ledger()
    with (
        storage_errors(task.target),
        collector_off(),
        _PartWriter(task.target, task.row_kind, task.offset) as writer,
    ):
        for found in task.source.rows(ledger, tell, task.limit):
            if isinstance(found, Row):
                writer.append(found)
            else:
                writer.extend(found)
            if writer.misfit:
                break
    return _PartResult(
        target=task.target,
        offset=task.offset,
        ledger=ledger,
        digests=bytes(writer.digests),
        row_numbers=np.array(writer.numbers, dtype=np.int64),
        written=np.array(writer.written, dtype=bool),
        plain=writer.plain,
        misfit=writer.misfit,
    )


class _PartWriter:
    """Writes one part, a batch of rows at a time, and of equal rows the first (unless they are far apart)."""

    def __init__(self, target: Path, row_kind: RowKind, offset: int) -> None:
        self.digests = bytearray()
        self.numbers = array("q")
        self.written = bytearray()
        self.plain = 0
        self.misfit = False
        self._row_kind = row_kind
        self._offset = offset
        self._seen: set[bytes] = set()
        self._batch: list[Row] = []
        self._bytes = 0
        self._tables: list[Any] = []
        self._waiting = 0
        self._parquet = pq.ParquetWriter(target, SCHEMAS[row_kind], **_PARQUET)

    def __enter__(self) -> _PartWriter:
        return self

    def append(self, row: Row) -> None:
        """Add a row; `misfit` is set when it is not of the file's kind."""
        if self._row_kind != "mixed" and (self._row_kind == "messages") != bool(row.messages):
            self.misfit = True
            return
        content = row.content()
        self.numbers.append(row.number)
        self.plain += not row.messages
        if self._are_new((digest_of(content),)) == [False]:
            return
        self._batch.append(row)
        self._bytes += len(content)
        if self._bytes >= BATCH_BYTES or len(self._batch) >= BATCH_ROWS:
            self._put_rows()

    def extend(self, rows: RowTable) -> None:
        """Add many rows, none of them a conversation, in the same way."""
        if self._row_kind != "prompt_completion":
            self.misfit = True
            return
        self._put_rows()
        self.numbers.frombytes(rows.table.column("row").to_numpy().tobytes())
        self.plain += len(rows.table)
        new = self._are_new(rows.digests)
        self._put(rows.table if all(new) else rows.table.filter(pa.array(new)))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._parquet:
            if kind is None:
                self._put_rows()
                self._flush()

    def _are_new(self, digests: Sequence[bytes]) -> list[bool]:
        seen = self._seen
        if len(seen) >= _SEEN:
            seen.clear()
        new = []
        for digest in digests:
            known = len(seen)
            seen.add(digest)
            new.append(len(seen) > known)
        self.digests += b"".join(digests)
        self.written += bytes(new)
        return new

    def _put_rows(self) -> None:
        if self._batch:
            self._put(as_table(self._batch, self._row_kind))
            self._batch, self._bytes = [], 0

    def _put(self, table: Any) -> None:
        self._tables.append(table)
        self._waiting += table.nbytes
        if self._waiting >= BATCH_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._tables:
            self._parquet.write_table(_moved(pa.concat_tables(self._tables), self._offset))
            self._tables, self._waiting = [], 0


def _finish(results: Sequence[_PartResult], workers: int, beat: Callable[[], None]) -> Ingested:
    """Number the rows across parts, leave out copies, and describe what is left."""
    offsets = np.cumsum([0, *(result.ledger.numbers for result in results)])[:-1].tolist()
    dropped, changed, shapes = Flags(), Flags(), Counter[str]()
    for result, offset in zip(results, offsets, strict=True):
        shapes += result.ledger.shapes
        dropped.merge(result.ledger.dropped, offset)
        changed.merge(result.ledger.changed, offset)
    numbers = np.concatenate(
        [np.empty(0, np.int64)]
        + [result.row_numbers + offset for result, offset in zip(results, offsets, strict=True)]
    )
    digests = np.frombuffer(b"".join(result.digests for result in results), dtype=np.uint64).reshape(-1, 2)
    first = first_positions(digests)
    keep = first == np.arange(len(first))
    dropped.add_all("duplicate", numbers[~keep].tolist(), numbers[first[~keep]].tolist())
    todo: list[_Finish] = []
    start = 0
    for result, offset in zip(results, offsets, strict=True):
        mask = keep[start : start + len(result.row_numbers)]
        start += len(mask)
        if not mask.any():  # nothing came, or all of it stands in an earlier part
            result.target.unlink()
        elif offset != result.offset or (mask != result.written).any():
            todo.append(_Finish(result.target, mask[result.written].tobytes(), offset - result.offset))
    for _ in ordered_map(_finish_part, todo, workers, lambda _: beat()):
        pass
    plain = sum(result.plain for result in results)
    return Ingested(
        rows=int(keep.sum()),
        rows_read=sum(result.ledger.read for result in results),
        dropped=dropped,
        changed=changed,
        shapes=dict(shapes.most_common()),
        row_kind="messages" if not plain else "prompt_completion" if plain == len(keep) else "mixed",
        fingerprint=hashlib.sha256(digests[keep].tobytes()).hexdigest(),
    )


def first_positions(digests: Any) -> Any:
    """For uint64[n, 2] digests: int64[n], the position of the first equal one."""
    order = np.argsort(digests[:, 0], kind="stable")
    left, right = digests[order].T
    if ((left[1:] == left[:-1]) & (right[1:] != right[:-1])).any():  # half of two digests is the same
        order = np.lexsort((digests[:, 1], digests[:, 0]))
        left, right = digests[order].T
    starts: Any = np.ones(len(order), dtype=bool)
    starts[1:] = (left[1:] != left[:-1]) | (right[1:] != right[:-1])
    first: Any = np.empty(len(order), dtype=np.int64)
    first[order] = order[starts][np.cumsum(starts) - 1] if len(order) else order
    return first


def _finish_part(task: _Finish, tell: Tell) -> None:
    """Write a part again, without the rows to leave out, with numbers that hold across parts."""
    keep = np.frombuffer(task.keep, dtype=bool)
    start = 0
    temporary = task.target.with_suffix(".tmp")
    with storage_errors(task.target), pq.ParquetFile(task.target) as file:
        with pq.ParquetWriter(temporary, file.schema_arrow, **_PARQUET) as writer:
            for index in range(file.num_row_groups):
                table = file.read_row_group(index, use_threads=False)
                mask = keep[start : start + len(table)]
                start += len(table)
                if mask.any():
                    writer.write_table(_moved(table.filter(pa.array(mask)), task.offset))
                tell(index / file.num_row_groups)
        temporary.replace(task.target)


def _moved(table: Any, offset: int) -> Any:
    """The table with `offset` added to its row numbers."""
    return table.set_column(0, "row", pc.add(table.column("row"), offset)) if offset else table

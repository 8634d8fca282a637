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
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tunesmith.data.parallel import Beat, Tell, collector_off, ordered_map
from tunesmith.data.quality.flags import Flags
from tunesmith.data.reading.meter import Meter
from tunesmith.data.reading.parts import Part
from tunesmith.data.rows import SCHEMAS, Row, as_table, digest_of, part_files
from tunesmith.data.shaping.layouts import Layouts
from tunesmith.data.shaping.texts import Unfit
from tunesmith.jobs.files import fsync_folder, storage_errors
from tunesmith.schemas.datasets import RowKind

BATCH_ROWS = 2_000
BATCH_BYTES = 8_000_000
"""What a worker holds before it writes: both bound its memory."""
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

    def rows(self, ledger: Ledger, tell: Tell, limit: int | None) -> Iterator[Row]:
        """At most `limit` rows are read; what was read and what was left out goes into the ledger."""


@dataclass(frozen=True)
class PartRows:
    """A part of a source, in the shape that was found for it."""

    part: Part
    layouts: Layouts

    def rows(self, ledger: Ledger, tell: Tell, limit: int | None) -> Iterator[Row]:
        """The part's usable rows, numbered from 1."""
        meter = Meter()
        convert = self.layouts.convert
        for source_row in islice(self.part.rows(meter), limit):
            ledger.read += 1
            try:
                yield convert(source_row)
            except Unfit as unfit:
                ledger.dropped.add(unfit.reason, source_row.number)
            if ledger.read % _TELL_EVERY_ROWS == 0:
                tell(meter.share)
        ledger.numbers = self.part.numbers
        ledger.shapes = self.layouts.shapes


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
    limit: int | None = None


@dataclass
class _PartResult:
    """Row numbers int64[rows] and digests (16 bytes each) of the rows kept; `plain` of them are no conversations."""

    target: Path
    ledger: Ledger
    digests: bytes
    row_numbers: Any
    plain: int
    misfit: bool


@dataclass(frozen=True)
class _Finish:
    """What is left to do to a part file: keep[rows] as bytes (None: all), and what its row numbers lack."""

    target: Path
    keep: bytes | None
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
        _Task(source, row_kind, folder / f"part-{number:05d}.arrow") for number, source in enumerate(sources)
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


def _beat_within(beat: Beat, done: int, share: float) -> None:
    beat(done + share)


def _write_part(task: _Task, tell: Tell) -> _PartResult:
    ledger = Ledger()
    with storage_errors(task.target), collector_off(), _PartWriter(task.target, task.row_kind) as writer:
        for row in task.source.rows(ledger, tell, task.limit):
            writer.append(row)
            if writer.misfit:
                break
    return _PartResult(
        target=task.target,
        ledger=ledger,
        digests=bytes(writer.digests),
        row_numbers=np.array(writer.numbers, dtype=np.int64),
        plain=writer.plain,
        misfit=writer.misfit,
    )


class _PartWriter:
    """Writes one part, a batch of rows at a time, as an Arrow file: copies can be left out of it at little cost."""

    def __init__(self, target: Path, row_kind: RowKind) -> None:
        self.digests = bytearray()
        self.numbers = array("q")
        self.plain = 0
        self.misfit = False
        self._row_kind = row_kind
        self._batch: list[Row] = []
        self._bytes = 0
        self._file = target.open("wb")
        self._arrow = pa.ipc.new_file(self._file, SCHEMAS[row_kind])

    def __enter__(self) -> _PartWriter:
        return self

    def append(self, row: Row) -> None:
        """Add a row; `misfit` is set when it is not of the file's kind."""
        if self._row_kind != "mixed" and (self._row_kind == "messages") != bool(row.messages):
            self.misfit = True
            return
        content = row.content()
        self.digests += digest_of(content)
        self._batch.append(row)
        self._bytes += len(content)
        if self._bytes >= BATCH_BYTES or len(self._batch) >= BATCH_ROWS:
            self._flush()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._file:
            if kind is None:
                self._flush()
                self._arrow.close()

    def _flush(self) -> None:
        self.numbers.extend(row.number for row in self._batch)
        self.plain += sum(not row.messages for row in self._batch)
        self._arrow.write_table(as_table(self._batch, self._row_kind))
        self._batch, self._bytes = [], 0


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
        if mask.any():
            todo.append(_Finish(result.target, None if mask.all() else mask.tobytes(), offset))
        else:  # nothing came, or all of it stands in an earlier part
            result.target.unlink()
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
    """Turn a part into Parquet, without the rows to leave out, with numbers that hold across parts."""
    keep = None if task.keep is None else np.frombuffer(task.keep, dtype=bool)
    start = 0
    final = task.target.with_suffix(".parquet")
    with storage_errors(final), pa.memory_map(str(task.target)) as mapped:
        file = pa.ipc.open_file(mapped)
        with pq.ParquetWriter(final, file.schema, **_PARQUET) as writer:
            for index in range(file.num_record_batches):
                batch = file.get_batch(index)
                if keep is not None:
                    mask = keep[start : start + len(batch)]
                    start += len(batch)
                    batch = batch if mask.all() else batch.filter(pa.array(mask))
                table = pa.Table.from_batches([batch])
                if task.offset:
                    table = table.set_column(0, "row", pc.add(table.column("row"), task.offset))
                if len(table):
                    writer.write_table(table)
                tell(index / file.num_record_batches)
    task.target.unlink()

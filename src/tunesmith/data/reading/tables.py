"""Parquet and Arrow: from record batches to rows, with bounds on what a small file may declare."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tunesmith.data.reading.lines import LONGEST_ROW
from tunesmith.data.reading.meter import Meter
from tunesmith.data.reading.source_row import SourceRow
from tunesmith.schemas.errors import UnreadableSource

MOST_COLUMNS = 2_000
ALWAYS_BYTES = 1_000_000_000
MOST_RATIO = 200
"""A Parquet file may unpack to so many bytes, and beyond that to so many times its own: values that repeat are stored
once, so that a few kilobytes can stand for terabytes."""
LARGEST_ROW_GROUP = 4_000_000_000
"""Unpacked bytes that a row group may declare."""
BATCH_BYTES = 16_000_000
"""What a batch should hold, going by its first rows."""
MOST_BATCH_ROWS = 1_000
_METADATA_BYTES = 64_000_000
_ROWS_TRIED = 16


def open_parquet(file: BinaryIO, name: str) -> Any:
    """The open Parquet file.

    Raises:
        UnreadableSource: it declares more columns, or larger row groups, than the limits above allow.
        pyarrow.ArrowException: it is damaged.
    """
    table = pq.ParquetFile(
        file,
        thrift_string_size_limit=_METADATA_BYTES,
        thrift_container_size_limit=1_000_000,
        pre_buffer=False,
    )
    columns = table.metadata.num_columns
    if columns > MOST_COLUMNS:
        raise _too_large(name, f"{columns:,} columns")
    for group in range(table.num_row_groups):
        size = table.metadata.row_group(group).total_byte_size
        if size > LARGEST_ROW_GROUP:
            raise _too_large(name, f"a row group of {size // 1_000_000:,} MB")
    return table


def read_parquet(table: Any, name: str, groups: list[int] | None, meter: Meter) -> Iterator[SourceRow]:
    """The rows of these row groups, of all without.

    Raises:
        UnreadableSource: they unpack to more than the limits above allow.
        pyarrow.ArrowException: they are damaged.
    """
    groups = list(range(table.num_row_groups)) if groups is None else groups
    described = [table.metadata.row_group(group) for group in groups]
    total = sum(group.num_rows for group in described)
    rows_a_batch = _rows_a_batch(table, groups)
    batches = table.iter_batches(batch_size=rows_a_batch, row_groups=groups, use_threads=False)
    packed = sum(
        group.column(at).total_compressed_size for group in described for at in range(group.num_columns)
    )
    yield from read_batches(_bounded(batches, ALWAYS_BYTES + MOST_RATIO * packed, name), total, meter)


def _bounded(batches: Iterable[Any], most_bytes: int, name: str) -> Iterator[Any]:
    unpacked = 0
    for batch in batches:
        unpacked += unpacked_bytes(batch)
        if unpacked > most_bytes:
            raise _too_large(
                name, f"values of over {unpacked // 1_000_000:,} MB, {MOST_RATIO} times its own size"
            )
        yield batch


def unpacked_bytes(batch: Any) -> int:
    """What the values of a record batch take, each as often as it occurs: a dictionary holds them only once."""
    total = 0
    for column in batch.columns:
        if pa.types.is_dictionary(column.type) and _has_length(column.type.value_type):
            lengths = pc.binary_length(column.dictionary)
            total += pc.sum(lengths.take(column.indices)).as_py() or 0
        else:
            total += column.nbytes
    return total


def _has_length(value_type: Any) -> bool:
    return bool(pa.types.is_string(value_type) or pa.types.is_large_string(value_type)) or bool(
        pa.types.is_binary(value_type) or pa.types.is_large_binary(value_type)
    )


def _rows_a_batch(table: Any, groups: list[int]) -> int:
    """How many rows to unpack at once. What a file declares says little: a value that repeats is stored once."""
    first = next(table.iter_batches(batch_size=_ROWS_TRIED, row_groups=groups, use_threads=False), None)
    if first is None:
        return MOST_BATCH_ROWS
    bytes_a_row = unpacked_bytes(first) / max(1, first.num_rows)
    return max(1, min(MOST_BATCH_ROWS, int(BATCH_BYTES / max(1.0, bytes_a_row))))


def read_arrow(file: BinaryIO, as_stream: bool, meter: Meter) -> Iterator[SourceRow]:
    """The rows of an Arrow IPC file or stream, its bytes checked before they are believed.

    Raises:
        pyarrow.ArrowException: it is damaged.
    """
    if as_stream:
        batches: Iterable[Any] = pa.ipc.open_stream(file)
    else:
        reader = pa.ipc.open_file(file)
        batches = (reader.get_batch(number) for number in range(reader.num_record_batches))
    yield from read_batches(_checked(batches), 0, meter)


def read_batches(batches: Iterable[Any], total: int, meter: Meter) -> Iterator[SourceRow]:
    """Record batches or tables; `total` rows for the meter, 0 when it is not known. Numbers count rows.

    A row of more than `LONGEST_ROW` bytes has the problem `row_too_large`; one with text that is no UTF-8 has
    `invalid_encoding`; one with a value that Python has none for, such as a date in the year 20000, `unreadable_value`.
    """
    number = 0
    for batch in batches:
        for start in range(0, batch.num_rows, MOST_BATCH_ROWS):
            for row in _rows_of(batch.slice(start, MOST_BATCH_ROWS), number):
                number += 1
                meter.numbers = number
                yield row
            meter.share = number / total if total else 0.0


def _rows_of(batch: Any, before: int) -> Iterator[SourceRow]:
    try:
        rows = batch.to_pylist() if unpacked_bytes(batch) <= LONGEST_ROW else None
    except (UnicodeDecodeError, ValueError, OverflowError):
        rows = None
    if rows is None:
        for at in range(batch.num_rows):
            yield _row_of(batch.slice(at, 1), before + at + 1)
        return
    for number, values in enumerate(rows, start=before + 1):
        yield SourceRow(number, values)


def _row_of(single: Any, number: int) -> SourceRow:
    if unpacked_bytes(single) > LONGEST_ROW:
        return SourceRow(number, problem="row_too_large")
    try:
        return SourceRow(number, single.to_pylist()[0])
    except UnicodeDecodeError:
        return SourceRow(number, problem="invalid_encoding")
    except (ValueError, OverflowError):
        return SourceRow(number, problem="unreadable_value")


def _checked(batches: Iterable[Any]) -> Iterator[Any]:
    for batch in batches:
        batch.validate(full=True)
        yield batch


def _too_large(name: str, what: str) -> UnreadableSource:
    return UnreadableSource(
        f"{name} declares {what}, more than a job may read.",
        "If it is sound, save the columns you need in smaller pieces and call load_dataset again.",
    )

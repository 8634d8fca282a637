"""Pieces of a source that can be read independently, each in a process of its own."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol

import numpy as np

from tunesmith.data.reading.delimited import read_delimited
from tunesmith.data.reading.encodings import utf8_stream
from tunesmith.data.reading.json_documents import read_json_document
from tunesmith.data.reading.kinds import FileKind, FileType, content_of, sniff
from tunesmith.data.reading.lines import json_line_blocks, read_json_lines, read_literal_lines, text_lines
from tunesmith.data.reading.local_file import LocalFile
from tunesmith.data.reading.meter import Meter
from tunesmith.data.reading.plain_text import read_text, separates_paragraphs
from tunesmith.data.reading.source_row import SourceBlock, SourceRow
from tunesmith.data.reading.tables import open_parquet, read_arrow, read_parquet
from tunesmith.schemas.errors import NoRows

SPLIT_BYTES = 16_000_000
"""Files larger than this are cut into parts where their kind allows it."""
PART_BYTES = 8_000_000

_BUFFER_BYTES = 1_048_576
_ROWS_A_GLANCE = 128
_NEWLINE = ord("\n")


class Part(Protocol):
    """A piece of a source, picklable. Its rows are numbered from 1.

    `name` is how messages call it and `size` its bytes, for progress. `numbers`, valid once all rows have been
    taken, says how many row numbers it has used.
    """

    numbers: int

    @property
    def name(self) -> str: ...

    @property
    def size(self) -> int: ...

    def rows(self, meter: Meter | None = None) -> Iterator[SourceRow]:
        """The rows, read as they are asked for; `meter`, if given, is kept up to date.

        Raises:
            TunesmithError: it cannot be read (any further).
        """


@dataclass
class FilePart:
    """A whole file. `split` chooses among arrays of a JSON object; an empty file is no error when not `alone`."""

    file: LocalFile
    split: str
    alone: bool
    numbers: int = field(default=0, init=False)

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def size(self) -> int:
        return self.file.size

    def rows(self, meter: Meter | None = None) -> Iterator[SourceRow]:
        meter = meter or Meter()
        try:
            file_type = sniff(self.file)
        except NoRows:
            if self.alone:
                raise
            return
        yield from _counted(self, _rows_of_file(self.file, file_type, self.split, meter), meter)


@dataclass
class LinePart:
    """The bytes from `start` up to `end` of a plain JSON-lines file; whole lines."""

    file: LocalFile
    start: int
    end: int
    numbers: int = field(default=0, init=False)

    @property
    def name(self) -> str:
        return self.file.name

    @property
    def size(self) -> int:
        return self.end - self.start

    def rows(self, meter: Meter | None = None) -> Iterator[SourceRow]:
        for found in self.blocks(meter or Meter()):
            if isinstance(found, SourceBlock):
                yield from found.rows()
            else:
                yield found

    def count_lines(self) -> int:
        """How many lines it has, if they all end alike. Raises as `rows`."""
        with self.file.reading() as file:
            file.seek(self.start)
            text = np.frombuffer(file.read(self.size), dtype=np.uint8)
        return int(np.count_nonzero(text == _NEWLINE)) + int(len(text) > 0 and text[-1] != _NEWLINE)

    def blocks(self, meter: Meter) -> Iterator[SourceRow | SourceBlock]:
        """The same, with rows in which nothing is odd many at a time."""
        meter.share, meter.numbers = 0.0, 0
        with self.file.reading() as file:
            file.seek(self.start)
            stream: BinaryIO = io.BufferedReader(_Window(file, self.size), _BUFFER_BYTES)
            if self.start == 0:
                stream = utf8_stream(stream, "utf-8", cr_lines=False)
            yield from json_line_blocks(stream, meter)
        self.numbers = meter.numbers
        meter.share = 1.0


@dataclass
class RowGroups:
    """Some row groups of a Parquet file."""

    file: LocalFile
    groups: list[int]
    size: int
    numbers: int = field(default=0, init=False)

    @property
    def name(self) -> str:
        return self.file.name

    def rows(self, meter: Meter | None = None) -> Iterator[SourceRow]:
        meter = meter or Meter()
        yield from _counted(self, self._read(meter), meter)

    def _read(self, meter: Meter) -> Iterator[SourceRow]:
        with self.file.reading() as file, open_parquet(file, self.name) as table:
            yield from read_parquet(table, self.name, self.groups, meter)


def parts_of(file: LocalFile, split: str, alone: bool) -> list[Part]:
    """The file in one part, or in several where it is large and can be cut.

    Raises:
        TunesmithError: a large file cannot be read.
    """
    if file.size > SPLIT_BYTES:
        file_type = sniff(file)
        if file_type.kind is FileKind.JSON_LINES and file_type.is_plain:
            return list(_line_parts(file))
        if file_type.kind is FileKind.PARQUET:
            return list(_row_group_parts(file))
    return [FilePart(file, split, alone)]


def _line_parts(file: LocalFile) -> Iterator[Part]:
    with file.reading() as opened:
        start = 0
        while start < file.size:
            end = min(start + PART_BYTES, file.size)
            opened.seek(end)
            while end < file.size and (block := opened.read(65_536)):
                line_end = block.find(b"\n")
                end += len(block) if line_end < 0 else line_end + 1
                if line_end >= 0:
                    break
            yield LinePart(file, start, end)
            start = end


def _row_group_parts(file: LocalFile) -> Iterator[Part]:
    with file.reading() as opened, open_parquet(opened, file.name) as table:
        groups: list[int] = []
        size = 0
        for number in range(table.num_row_groups):
            described = table.metadata.row_group(number)
            packed = sum(described.column(at).total_compressed_size for at in range(described.num_columns))
            if groups and size + packed > PART_BYTES:
                yield RowGroups(file, groups, size)
                groups, size = [], 0
            groups.append(number)
            size += packed
        if groups:
            yield RowGroups(file, groups, size)


def _rows_of_file(local: LocalFile, file_type: FileType, split: str, meter: Meter) -> Iterator[SourceRow]:
    kind = file_type.kind
    if kind is FileKind.JSON:

        @contextmanager
        def text() -> Iterator[BinaryIO]:
            with content_of(local, file_type.compression) as (_, content):
                yield utf8_stream(content, file_type.encoding, file_type.cr_lines)

        yield from read_json_document(text, local.name, split, meter)
        return
    with content_of(local, file_type.compression) as (file, content):
        if kind is FileKind.PARQUET:
            with open_parquet(content, local.name) as table:
                yield from read_parquet(table, local.name, None, meter)
        elif kind in (FileKind.ARROW_FILE, FileKind.ARROW_STREAM):
            yield from read_arrow(content, kind is FileKind.ARROW_STREAM, meter)
        else:
            stream = utf8_stream(content, file_type.encoding, file_type.cr_lines)
            for at, row in enumerate(_rows_of_text(stream, file_type, meter)):
                if at % _ROWS_A_GLANCE == 0:
                    meter.share = file.tell() / max(1, local.size)
                yield row


def _rows_of_text(stream: BinaryIO, file_type: FileType, meter: Meter) -> Iterator[SourceRow]:
    if file_type.kind is FileKind.JSON_LINES:
        return read_json_lines(stream, meter)
    if file_type.kind is FileKind.LITERAL_LINES:
        return read_literal_lines(stream, meter)
    if file_type.table is not None:
        return read_delimited(text_lines(stream), file_type.table)
    sample = stream.peek(_BUFFER_BYTES) if isinstance(stream, io.BufferedReader) else b""
    return read_text(text_lines(stream), separates_paragraphs(sample.decode("utf-8", "replace")))


def _counted(part: Any, rows: Iterator[SourceRow], meter: Meter) -> Iterator[SourceRow]:
    meter.share, meter.numbers, last = 0.0, 0, 0
    for row in rows:
        last = row.number
        yield row
    part.numbers = max(last, meter.numbers)
    meter.share = 1.0


class _Window(io.RawIOBase):
    """The next `size` bytes of a file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)

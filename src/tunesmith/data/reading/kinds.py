"""What a file is, judged by its bytes; its name settles only what they leave open."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from tunesmith.data.reading.compression import Compression, compression_of, unpacked
from tunesmith.data.reading.dialects import Table, find_table
from tunesmith.data.reading.encodings import EVIDENCE_BYTES, Evidence, marked_encoding, utf8_stream
from tunesmith.data.reading.json_values import json_row
from tunesmith.data.reading.lines import LONGEST_ROW, literal_row
from tunesmith.data.reading.local_file import LocalFile
from tunesmith.schemas.errors import NoRows, UnreadableSource

HEAD_BYTES = 262_144
"""How much of a file is looked at to tell its kind."""


class FileKind(StrEnum):
    """The kinds of file that can be read."""

    DELIMITED = "delimited"
    JSON = "json"
    JSON_LINES = "json lines"
    LITERAL_LINES = "python literals"
    TEXT = "text"
    PARQUET = "parquet"
    ARROW_FILE = "arrow file"
    ARROW_STREAM = "arrow stream"


@dataclass(frozen=True)
class FileType:
    """What a file turned out to be.

    `encoding` is a Python codec; `cr_lines` says that lines of JSON end in a carriage return alone; `table` is there
    for delimited text alone.
    """

    kind: FileKind
    compression: Compression | None = None
    encoding: str = "utf-8"
    cr_lines: bool = False
    table: Table | None = None

    @property
    def is_plain(self) -> bool:
        """The bytes in the file are UTF-8 text as it is read, so that it can be cut at line ends."""
        return self.compression is None and self.encoding == "utf-8" and not self.cr_lines


_PARQUET_MAGIC = b"PAR1"
_ARROW_MAGIC = b"ARROW1"
_ARROW_STREAM_MAGIC = b"\xff\xff\xff\xff"
_OTHER_MAGIC: dict[bytes, str] = {
    b"%PDF": "a PDF document; extract its text",
    b"SQLite format 3": "an SQLite database; export the table as CSV",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"\x89HDF": "an HDF5 file; export the table as CSV or Parquet",
    b"ORC": "an ORC file; export the table as Parquet",
    b"Obj\x01": "an Avro file; export the table as Parquet",
    b"\x93NUMPY": "a NumPy array",
    b"\x80\x02": "a Python pickle, which is never opened; save it as Parquet or JSON lines",
    b"\x80\x03": "a Python pickle, which is never opened; save it as Parquet or JSON lines",
    b"\x80\x04\x95": "a Python pickle, which is never opened; save it as Parquet or JSON lines",
    b"\x80\x05\x95": "a Python pickle, which is never opened; save it as Parquet or JSON lines",
    b"\x7fELF": "a program",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive; unpack it",
    b"Rar!": "a RAR archive; unpack it",
    b"\xd0\xcf\x11\xe0": "an old Office document; export the sheet as CSV",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself; fetch it (git lfs pull)",
}
_TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".psv")
_LINES_SUFFIXES = (".jsonl", ".ndjson")
_DATA_SUFFIXES = (*_LINES_SUFFIXES, ".json", ".parquet", ".arrow")
_PACKED_SUFFIXES = (".gz", ".bz2", ".xz", ".zst", ".zstd", ".zip")
_MARKUP = re.compile(r"<(!doctype|html|\?xml)", re.IGNORECASE)
_TEXT_CONTROLS = frozenset(b"\t\n\v\f\r\x1b\x1c\x1d\x1e\x1f\x01")
_BINARY_SHARE = 0.05
_BINARY_LEAST = 4
_LINES_TRIED = 20
_KINDS = "CSV and the like, JSON, JSON lines, Parquet, Arrow and plain text can be read"


def suffix_of(path: Path) -> str:
    """The suffix that speaks of the content, in lower case: `.csv` of rows.csv.gz."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    while suffixes and suffixes[-1] in _PACKED_SUFFIXES:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


@contextmanager
def content_of(local: LocalFile, kind: Compression | None) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """The file, and its unpacked content. Raises as `LocalFile.reading` and `compression.unpacked`."""
    with local.reading() as file:
        yield file, file if kind is None else unpacked(file, kind, local.name)


def sniff(local: LocalFile) -> FileType:
    """What the file is.

    Raises:
        NoRows: it is empty.
        UnreadableSource: it is none of the kinds that can be read; the message says what it seems to be.
        TunesmithError: as `LocalFile.reading` and `compression.unpacked`.
    """
    with local.reading() as file:
        compression = compression_of(file.read(8))
    with content_of(local, compression) as (_, content):
        head = _read(content, HEAD_BYTES)
        if compression is None and head.startswith(_PARQUET_MAGIC):
            return FileType(FileKind.PARQUET)
        if compression is None and head.startswith(_ARROW_MAGIC):
            return FileType(FileKind.ARROW_FILE)
        if compression is None and head.startswith(_ARROW_STREAM_MAGIC):
            return FileType(FileKind.ARROW_STREAM)
        encoding = marked_encoding(head)
        if encoding is None:
            _refuse_binary(head, local.name)
            encoding = _encoding_by_evidence(head, content, local.name)
    return _text_type(local, compression, encoding)


def _encoding_by_evidence(head: bytes, content: BinaryIO, name: str) -> str:
    evidence = Evidence()
    block, count = head, 0
    while block and count < EVIDENCE_BYTES:
        evidence.add(block)
        count += len(block)
        block = content.read(HEAD_BYTES)
    return evidence.encoding(head.lstrip()[:1] in (b"{", b"["), name)


def _text_type(local: LocalFile, compression: Compression | None, encoding: str) -> FileType:
    with content_of(local, compression) as (_, content):
        stream = utf8_stream(content, encoding, cr_lines=False)
        head = _read(stream, HEAD_BYTES)
        while head.lstrip()[:1] == b"{" and b"\n" not in head and len(head) < LONGEST_ROW:
            more = _read(stream, len(head))  # a first line may be long
            head += more
            if not more:
                break
        is_whole = not stream.read(1)
    text = head.decode("utf-8", "replace").lstrip()
    if not text:
        raise NoRows(f"{local.name} is empty.", "Give a file that holds rows and call load_dataset again.")
    suffix = suffix_of(local.path)
    cr_lines = "\n" not in text.rstrip() and "\r" in text.rstrip()
    kind = _json_kind(text, suffix, is_whole)
    if kind is not None:
        return FileType(kind, compression, encoding, cr_lines)
    if _MARKUP.match(text):
        raise _not_readable(local.name, "a web page or XML")
    table = find_table(_whole_lines(text, is_whole), suffix in _TABLE_SUFFIXES)
    if table is not None:
        return FileType(FileKind.DELIMITED, compression, encoding, table=table)
    if suffix in _DATA_SUFFIXES:
        raise _not_readable(
            local.name, "plain text; if its lines are to be learned as they are, name it .txt"
        )
    return FileType(FileKind.TEXT, compression, encoding)


def _json_kind(text: str, suffix: str, is_whole: bool) -> FileKind | None:
    """Which way the text is JSON, or lines of Python literals; None when it is neither."""
    ends = "\r" if "\n" not in text.rstrip() else "\n"
    lines = [line for line in text.split(ends, _LINES_TRIED * 10) if line.strip()][: _LINES_TRIED + 1]
    cut = len(lines) <= _LINES_TRIED and not is_whole
    whole = lines[:-1] if cut and len(lines) > 1 else lines[:_LINES_TRIED]
    if text[0] == "[" and not re.match(r"\[\s*([\[{\"\]]|-?\d|$)", text):
        return None
    objects = sum(_is_object(line) for line in whole)
    with_commas = sum(line.rstrip().endswith("},") for line in whole)
    if objects > with_commas and len(lines) > 1:
        return FileKind.JSON_LINES
    if text[0] in "{[" and _is_literal(whole[0]):
        return FileKind.LITERAL_LINES
    if text[0] == "[":
        return FileKind.JSON
    if text[0] == "{" and re.match(r"\{\s*([\"}]|$)", text):
        broken_line = suffix in _LINES_SUFFIXES and not lines[0].rstrip().endswith(("{", "[", ","))
        return FileKind.JSON_LINES if broken_line and not objects and len(lines) > 1 else FileKind.JSON
    return FileKind.JSON_LINES if suffix in _LINES_SUFFIXES and text[0] == "{" else None


def _is_object(line: str) -> bool:
    """A whole line is a row: an object, or the turns of a conversation."""
    text = line.strip()
    return (
        text[:1] in ("{", "[")
        and text[-1:] in ("}", "]")
        and json_row(1, text.encode("utf-8", "replace")).problem is None
    )


def _is_literal(line: str) -> bool:
    return not _is_json(line) and "python_repr" in literal_row(1, line.encode("utf-8", "replace")).notes


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True


def _whole_lines(text: str, is_whole: bool) -> str:
    """The text without a last line that the end of what was read has cut."""
    if is_whole:
        return text
    return text[: max(text.rfind("\n"), text.rfind("\r")) + 1] or text


def _refuse_binary(head: bytes, name: str) -> None:
    for magic, what in _OTHER_MAGIC.items():
        if head.startswith(magic):
            raise _not_readable(name, what)
    controls = sum(byte < 0x20 and byte not in _TEXT_CONTROLS for byte in head)
    if controls >= _BINARY_LEAST and controls > _BINARY_SHARE * len(head):
        raise _not_readable(name, "binary data")


def _read(stream: BinaryIO, size: int) -> bytes:
    """`size` bytes, or all there are."""
    blocks = []
    while size > 0 and (block := stream.read(size)):
        blocks.append(block)
        size -= len(block)
    return b"".join(blocks)


def _not_readable(name: str, what: str) -> UnreadableSource:
    return UnreadableSource(
        f"{name} seems to be {what}.", f"{_KINDS}; call load_dataset again with such a file."
    )

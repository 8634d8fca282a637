"""What a file is, judged by its first bytes rather than by its name."""

from __future__ import annotations

import codecs
import csv
import json
import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tunesmith.data.readers import best_delimiter, parse_json
from tunesmith.schemas.errors import NoRows, UnreadableSource

HEAD_BYTES = 65_536


class FileKind(StrEnum):
    """The kinds of file that can be read."""

    DELIMITED = "delimited"
    JSON = "json"
    JSONL = "jsonl"
    PARQUET = "parquet"


@dataclass(frozen=True)
class FileType:
    """What a file turned out to be; `encoding` is a Python codec, unused for Parquet."""

    kind: FileKind
    encoding: str = "utf-8-sig"
    delimiter: str = ","


SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet")
"""What a data file within a folder is called."""

_PARQUET_MAGIC = b"PAR1"
_OTHER_MAGIC: dict[bytes, str] = {
    b"\x1f\x8b": "gzip-compressed; unpack it (gunzip)",
    b"PK\x03\x04": "a ZIP archive or an Office document; unpack it, or export it as CSV",
    b"\x28\xb5\x2f\xfd": "zstd-compressed; unpack it (unzstd)",
    b"BZh": "bzip2-compressed; unpack it (bunzip2)",
    b"\xfd7zXZ\x00": "xz-compressed; unpack it (unxz)",
    b"ARROW1": "an Arrow file; save it as Parquet",
    b"%PDF": "a PDF document; extract its text into JSON lines",
    b"SQLite format 3": "an SQLite database; export the table as CSV",
    b"\x89PNG": "a picture; rows of text are needed",
    b"\x93NUMPY": "a NumPy array; rows of text are needed",
    b"\x80\x04\x95": "a Python pickle, which is never opened; save it as Parquet or JSON lines",
    b"\x7fELF": "a program; rows of text are needed",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself; fetch it (git lfs pull)",
}
_TABLE_SUFFIXES = (".csv", ".tsv")
_LINES_SUFFIXES = (".jsonl", ".ndjson")
_MARKUP = re.compile(r"<(!doctype|html|\?xml)", re.IGNORECASE)
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_UTF32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_TEXT_CONTROLS = frozenset(b"\t\n\v\f\r\x1b")
_BINARY_SHARE = 0.05
_BINARY_LEAST = 4
_KINDS = "CSV, TSV, JSON, JSON lines or Parquet"


def sniff(path: Path, name: str) -> FileType:
    """What the file at `path` is. `name` is how messages call it.

    Raises:
        NoRows: it is empty.
        UnreadableSource: it is none of the kinds that can be read; the message says what it seems to be.
        OSError: it cannot be opened.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(_PARQUET_MAGIC):
        return FileType(FileKind.PARQUET)
    encoding = _encoding(head, name)
    text = codecs.getincrementaldecoder(encoding)(errors="replace").decode(head)
    if not text.strip():
        raise NoRows(f"{name} is empty.", "Give a file that holds rows and call load_dataset again.")
    suffix = path.suffix.lower()
    start = text.lstrip()
    if start.startswith("{") and (suffix not in _TABLE_SUFFIXES or re.match(r"\{\s*\"", start)):
        return FileType(_object_kind(path, encoding, suffix), encoding)
    kind = _text_kind(start, suffix)
    if kind is None:
        what = "a web page or XML" if _MARKUP.match(start) else "plain text without columns"
        raise _not_readable(name, f"{what}; rows with named columns are needed")
    return FileType(kind, encoding, "\t" if suffix == ".tsv" else ",")


def first_undecodable_byte(path: Path, encoding: str) -> int:
    """The offset, from 0, of the first byte that is not text in this encoding; -1 when there is none."""
    decoder = codecs.getincrementaldecoder(encoding.removesuffix("-sig"))()
    consumed = 0
    with path.open("rb") as file:
        while True:
            block = file.read(HEAD_BYTES)
            waiting = len(decoder.getstate()[0])
            try:
                decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                return consumed - waiting + error.start
            if not block:
                return -1
            consumed += len(block)


def _encoding(head: bytes, name: str) -> str:
    for magic, what in _OTHER_MAGIC.items():
        if head.startswith(magic):
            raise _not_readable(name, what)
    if head.startswith(_UTF32):
        raise _not_readable(name, "UTF-32 text; convert it to UTF-8")
    if head.startswith(_UTF16):
        return "utf-16"
    controls = sum(byte < 0x20 and byte not in _TEXT_CONTROLS for byte in head)
    if controls >= _BINARY_LEAST and controls > _BINARY_SHARE * len(head):
        raise _not_readable(name, "binary data, or UTF-16 without a byte-order mark (convert that to UTF-8)")
    return "utf-8-sig"


def _object_kind(path: Path, encoding: str, suffix: str) -> FileKind:
    """A file that starts with an object: one JSON document, or an object a line."""
    with path.open(encoding=encoding, errors="replace") as file:
        filled = (line for line in file if line.strip())
        first = next(filled, "")
        if _is_json_object(first):
            several = next(filled, None) is not None
            return FileKind.JSONL if several or suffix in _LINES_SUFFIXES else FileKind.JSON
    if suffix in _LINES_SUFFIXES and not first.rstrip().endswith(("{", "[")):
        return FileKind.JSONL  # a broken first line
    return FileKind.JSON


def _text_kind(start: str, suffix: str) -> FileKind | None:
    if start.startswith("["):
        if suffix == ".json" or re.match(r"\[\s*(\{|\]|$)", start):
            return FileKind.JSON
        if suffix in _LINES_SUFFIXES:
            return FileKind.JSONL
    if _MARKUP.match(start):
        return None
    if suffix in _TABLE_SUFFIXES:
        return FileKind.DELIMITED
    lines = start.splitlines()[:20]
    if any(_is_json_object(line) for line in lines):
        return FileKind.JSONL
    return FileKind.DELIMITED if _has_columns(lines) else None


def _has_columns(lines: list[str]) -> bool:
    """The first records all have the same number of cells, at least two."""
    delimiter = best_delimiter(lines[0], ",")
    try:
        records = [record for record in csv.reader(lines[:6], delimiter=delimiter) if record]
    except csv.Error:
        return False
    return len(records) > 1 and len(records[0]) > 1 and len({len(record) for record in records}) == 1


def _is_json_object(line: str) -> bool:
    try:
        return isinstance(parse_json(line), dict)
    except (json.JSONDecodeError, RecursionError):
        return False


def _not_readable(name: str, what: str) -> UnreadableSource:
    return UnreadableSource(
        f"{name} seems to be {what}.", f"{_KINDS} can be read; call load_dataset again with such a file."
    )

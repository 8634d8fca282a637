"""The stored form of a dataset's rows: Parquet with the columns of TRL's standard formats.

row          int64: source row number, from 1
prompt, completion                          for row_kind "prompt_completion"
messages, tools                             for row_kind "messages"; tools is JSON text
all of them, empty where a row is the other kind, for row_kind "mixed"
rejected     the worse answer of a preference pair, or null
extras       a JSON object: the row's other scalar columns as text, or null
notes        remarks of the reader for the quality report, or null

Rows lie in one file (a half of a golden set) or in a folder of part files, read in the order of their names.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from tunesmith.jobs.files import fsync_folder, storage_errors
from tunesmith.schemas.datasets import RowKind
from tunesmith.schemas.errors import UnreadableSource

BATCH_ROWS = 1_000
BATCH_CHARACTERS = 16_000_000

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True)
_MESSAGES = pa.list_(
    pa.struct(
        [
            ("role", pa.string()),
            ("content", pa.string()),
            ("tool_calls", pa.string()),
            ("tool_call_id", pa.string()),
            ("name", pa.string()),
            ("trains", pa.bool_()),
        ]
    )
)
_PAIR = [("prompt", pa.string()), ("completion", pa.string())]
_AROUND = [("rejected", pa.string()), ("extras", pa.string()), ("notes", pa.list_(pa.string()))]
SCHEMAS: dict[RowKind, Any] = {
    "prompt_completion": pa.schema([("row", pa.int64()), *_PAIR, *_AROUND]),
    "messages": pa.schema([("row", pa.int64()), ("messages", _MESSAGES), ("tools", pa.string()), *_AROUND]),
    "mixed": pa.schema(
        [("row", pa.int64()), *_PAIR, ("messages", _MESSAGES), ("tools", pa.string()), *_AROUND]
    ),
}


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; `role` is system, user, assistant or tool.

    `tool_calls` is the JSON array of an assistant's calls as OpenAI writes them, or "". `trains` is False for an
    assistant turn whose weight is 0: it is context and carries no loss.
    """

    role: str
    content: str
    tool_calls: str = ""
    tool_call_id: str = ""
    name: str = ""
    trains: bool = True


class Row(msgspec.Struct, gc=False):  # made several times as fast as a dataclass, and there are millions
    """One example, not to be changed. A conversation has `messages`; any other row has `prompt` (may be "") and
    `completion`.

    `rejected` is the worse answer of a preference pair (the better one is what the row teaches), as text, or "".
    `tools` is the JSON array of the functions a conversation may call, or "".
    `notes` are remarks of the reader for the quality report (kinds of `quality.catalogue`), not content.
    """

    number: int
    prompt: str = ""
    completion: str = ""
    messages: tuple[Message, ...] = ()
    extras: Mapping[str, str] = msgspec.field(default_factory=dict)
    rejected: str = ""
    tools: str = ""
    notes: tuple[str, ...] = ()

    def content(self) -> bytes:
        """What the example teaches, without where it came from, as unambiguous bytes."""
        if not self.messages:
            return pair_content(self.prompt, self.completion, self.rejected)
        turns = [
            [turn.role, turn.content, turn.tool_calls, turn.tool_call_id, turn.name, turn.trains]
            for turn in self.messages
        ]
        return _ENCODER.encode([turns, self.tools, self.rejected]).encode()

    def digest(self) -> bytes:
        """16 bytes that tell examples of different content apart."""
        return digest_of(self.content())

    def characters(self) -> int:
        """The length of everything in it that the model sees."""
        in_turns = sum(len(message.content) + len(message.tool_calls) for message in self.messages)
        return len(self.prompt) + len(self.completion) + in_turns


def pair_content(prompt: str, completion: str, rejected: str = "") -> bytes:
    """`Row.content` of a row that is no conversation."""
    return f"{len(prompt)}:{prompt}{completion}\0{rejected}".encode()


@dataclass(frozen=True)
class RowTable:
    """Rows as an Arrow table with the schema of `prompt_completion`, and their digests."""

    table: Any
    digests: list[bytes]

    def __len__(self) -> int:
        return len(self.table)


def digest_of(content: bytes) -> bytes:
    """The digest of a row with this content: XXH3, because it tells accidents apart, which is all that is asked."""
    return xxhash.xxh3_128_digest(content)


class RowsWriter:
    """Writes rows to a Parquet file that appears, complete and durable, when the `with` block ends well.

    After that `count` and `fingerprint` describe the file. After an exception nothing is left behind.
    """

    def __init__(self, path: Path, row_kind: RowKind) -> None:
        self.count = 0
        self._path = path
        self._row_kind = row_kind
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self._hash = hashlib.sha256()
        self._batch: list[Row] = []
        self._characters = 0
        self._file: BinaryIO
        self._parquet: Any

    @property
    def fingerprint(self) -> str:
        """sha256 over the digests of the rows so far, in order."""
        return self._hash.hexdigest()

    def __enter__(self) -> RowsWriter:
        with storage_errors(self._path):
            self._file = self._temporary.open("wb")
            self._parquet = pq.ParquetWriter(self._file, SCHEMAS[self._row_kind])
        return self

    def append(self, row: Row) -> None:
        """Add a row.

        Raises:
            DiskFull, StorageFailed: nothing has changed at the path.
        """
        self._batch.append(row)
        self._characters += row.characters()
        self._hash.update(row.digest())
        self.count += 1
        if len(self._batch) >= BATCH_ROWS or self._characters >= BATCH_CHARACTERS:
            self._flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._commit()
        finally:
            with suppress(OSError, pa.ArrowException):
                self._parquet.close()
            self._parquet.is_open = False  # or its finalizer would try once more, on a closed file
            self._file.close()
            self._temporary.unlink(missing_ok=True)

    def _flush(self) -> None:
        with storage_errors(self._path):
            self._parquet.write_table(as_table(self._batch, self._row_kind))
        self._batch, self._characters = [], 0

    def _commit(self) -> None:
        self._flush()
        with storage_errors(self._path):
            self._parquet.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._temporary.replace(self._path)
            fsync_folder(self._path.parent)


def write_rows(path: Path, rows: Iterable[Row], row_kind: RowKind) -> str:
    """Replace `path` atomically and durably with these rows; returns their fingerprint.

    Raises:
        DiskFull, StorageFailed: nothing has changed at `path`.
    """
    with RowsWriter(path, row_kind) as writer:
        for row in rows:
            writer.append(row)
    return writer.fingerprint


def part_files(path: Path) -> list[Path]:
    """The Parquet files that make up stored rows, in order.

    Raises:
        UnreadableSource: there are none.
    """
    files = sorted(path.glob("part-*.parquet")) if path.is_dir() else [path] if path.is_file() else []
    if not files:
        raise _damaged(path)
    return files


def iter_rows(path: Path) -> Iterator[Row]:
    """The rows of a stored file or folder, in order, a batch in memory at a time.

    Raises:
        UnreadableSource: the rows are missing or damaged.
    """
    for table in iter_tables(path):
        yield from rows_of(table)


def iter_tables(path: Path, columns: list[str] | None = None) -> Iterator[Any]:
    """The same as Arrow record batches of at most 1,000 rows, perhaps of some columns only. Raises as `iter_rows`."""
    for part in part_files(path):
        with stored_rows(path), pq.ParquetFile(part) as file:
            yield from file.iter_batches(batch_size=BATCH_ROWS, use_threads=False, columns=columns)


@dataclass(frozen=True)
class RowGroups:
    """Some row groups of one file: what one process works on at a time."""

    file: Path
    indices: tuple[int, ...]
    rows: int

    def tables(self, columns: list[str] | None = None) -> Generator[Any, None, None]:
        """As Arrow record batches of at most 1,000 rows, perhaps of some columns only. Raises as `iter_rows`."""
        with stored_rows(self.file), pq.ParquetFile(self.file) as parquet:
            yield from parquet.iter_batches(
                BATCH_ROWS, row_groups=list(self.indices), columns=columns, use_threads=False
            )


def row_groups(path: Path, at_least: int = 20_000) -> list[RowGroups]:
    """All stored rows, in order, in pieces of at least so many rows (but never of more than one file).

    Raises:
        UnreadableSource: the rows are missing or damaged.
    """
    pieces: list[RowGroups] = []
    for file in part_files(path):
        indices: list[int] = []
        held = 0
        with stored_rows(path), pq.ParquetFile(file) as parquet:
            sizes = [parquet.metadata.row_group(index).num_rows for index in range(parquet.num_row_groups)]
        for index, size in enumerate(sizes):
            indices.append(index)
            held += size
            if held >= at_least:
                pieces.append(RowGroups(file, tuple(indices), held))
                indices, held = [], 0
        if held:
            pieces.append(RowGroups(file, tuple(indices), held))
    return pieces


@contextmanager
def stored_rows(path: Path) -> Iterator[None]:
    """Whatever goes wrong while stored rows are read is told as UnreadableSource."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path) from error


def read_rows(path: Path) -> list[Row]:
    """All stored rows, in order. Raises as `iter_rows`."""
    return list(iter_rows(path))


def row_count(path: Path) -> int:
    """How many rows are stored. Raises as `iter_rows`."""
    return sum(piece.rows for piece in row_groups(path))


def pick_rows(path: Path, places: Iterable[int]) -> list[Row]:
    """The stored rows at these places (from 0), in the order of `places`; the others are not unpacked.

    Raises as `iter_rows`; a place where no row is, is passed over.
    """
    wanted = list(places)
    looked_for = sorted(set(wanted))
    found: dict[int, Row] = {}
    start = 0
    for table in iter_tables(path):
        here = [place for place in looked_for if start <= place < start + len(table)]
        found.update(
            zip(here, rows_of(table.take(pa.array([at - start for at in here]))), strict=True) if here else ()
        )
        start += len(table)
    return [found[place] for place in wanted if place in found]


def fingerprint(rows: Iterable[Row]) -> str:
    """sha256 over the rows' digests, in order. Row numbers, extras and notes do not count."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(row.digest())
    return digest.hexdigest()


def as_table(rows: Sequence[Row], row_kind: RowKind) -> Any:
    """Rows as an Arrow table with the schema of their kind."""
    columns: dict[str, list[Any]] = {
        "row": [row.number for row in rows],
        "rejected": [row.rejected or None for row in rows],
        "extras": [msgspec.json.encode(row.extras).decode() if row.extras else None for row in rows],
        "notes": [row.notes or None for row in rows],
    }
    if row_kind != "messages":
        columns["prompt"] = [None if row.messages else row.prompt for row in rows]
        columns["completion"] = [None if row.messages else row.completion for row in rows]
    if row_kind != "prompt_completion":
        columns["messages"] = [_stored(row.messages) for row in rows]
        columns["tools"] = [row.tools or None for row in rows]
    return pa.table(columns, schema=SCHEMAS[row_kind])


def rows_of(table: Any) -> Iterator[Row]:
    """The rows of a stored table or record batch."""
    for values in table.to_pylist():
        yield _as_row(values)


def _stored(messages: Sequence[Message]) -> list[dict[str, Any]] | None:
    return [
        {
            "role": turn.role,
            "content": turn.content,
            "tool_calls": turn.tool_calls or None,
            "tool_call_id": turn.tool_call_id or None,
            "name": turn.name or None,
            "trains": None if turn.trains else False,
        }
        for turn in messages
    ] or None


def _as_row(values: dict[str, Any]) -> Row:
    return Row(
        number=values["row"],
        prompt=values.get("prompt") or "",
        completion=values.get("completion") or "",
        messages=tuple(_as_message(turn) for turn in values.get("messages") or ()),
        extras=json.loads(values["extras"]) if values["extras"] else {},
        rejected=values["rejected"] or "",
        tools=values.get("tools") or "",
        notes=tuple(values["notes"] or ()),
    )


def _as_message(turn: dict[str, Any]) -> Message:
    return Message(
        turn["role"],
        turn["content"],
        turn["tool_calls"] or "",
        turn["tool_call_id"] or "",
        turn["name"] or "",
        turn["trains"] is not False,
    )


def _damaged(path: Path) -> UnreadableSource:
    return UnreadableSource(
        f"The stored rows of {path.parent.name} are missing or damaged.",
        "Make them again with load_dataset or build_golden_set.",
    )

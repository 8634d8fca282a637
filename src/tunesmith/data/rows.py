"""The stored form of a dataset's rows: Parquet with the columns of one of TRL's standard formats.

row          int64: source row number, from 1
prompt, completion                  for row_kind "prompt_completion", or
messages: list<struct<role, content>>   for row_kind "messages"
extras       a JSON object: the row's other scalar columns as text
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from tunesmith.jobs.files import fsync_folder, storage_errors
from tunesmith.schemas.datasets import RowKind
from tunesmith.schemas.errors import UnreadableSource

BATCH_ROWS = 1_000
BATCH_CHARACTERS = 16_000_000

_ENCODER = json.JSONEncoder(separators=(",", ":"))
_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_SCHEMAS: dict[RowKind, Any] = {
    "prompt_completion": pa.schema(
        [("row", pa.int64()), ("prompt", pa.string()), ("completion", pa.string()), ("extras", pa.string())]
    ),
    "messages": pa.schema([("row", pa.int64()), ("messages", _MESSAGES), ("extras", pa.string())]),
}


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation; `role` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Row:
    """One example. A conversation has `messages`; any other row has `prompt` (may be "") and `completion`."""

    number: int
    prompt: str = ""
    completion: str = ""
    messages: tuple[Message, ...] = ()
    extras: Mapping[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        """What the example teaches, without where it came from, as unambiguous bytes."""
        value: Any = (
            [[message.role, message.content] for message in self.messages]
            if self.messages
            else {"prompt": self.prompt, "completion": self.completion}
        )
        return _ENCODER.encode(value).encode()

    def characters(self) -> int:
        """The length of everything in it that the model sees."""
        in_turns = sum(len(message.content) for message in self.messages)
        return len(self.prompt) + len(self.completion) + in_turns


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
        """sha256 over the content of the rows so far, in order."""
        return self._hash.hexdigest()

    def __enter__(self) -> RowsWriter:
        with storage_errors(self._path):
            self._file = self._temporary.open("wb")
            self._parquet = pq.ParquetWriter(self._file, _SCHEMAS[self._row_kind])
        return self

    def append(self, row: Row) -> None:
        """Add a row.

        Raises:
            DiskFull, StorageFailed: nothing has changed at the path.
        """
        self._batch.append(row)
        self._characters += row.characters()
        self._hash.update(row.content() + b"\n")
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
            self._parquet.write_table(_as_table(self._batch, self._row_kind))
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


def iter_rows(path: Path) -> Iterator[Row]:
    """The rows of a stored file, in order, a batch in memory at a time.

    Raises:
        UnreadableSource: the file is missing or damaged.
    """
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=BATCH_ROWS, use_threads=False):
                for values in batch.to_pylist():
                    yield _as_row(values)
    except (OSError, pa.ArrowException) as error:
        raise UnreadableSource(
            f"The stored rows of {path.parent.name} are missing or damaged.",
            "Make them again with load_dataset or build_golden_set.",
        ) from error


def read_rows(path: Path) -> list[Row]:
    """All rows of a stored file, in order. Raises as `iter_rows`."""
    return list(iter_rows(path))


def fingerprint(rows: Iterable[Row]) -> str:
    """sha256 over the rows' content, in order. Row numbers and extras do not count."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(row.content() + b"\n")
    return digest.hexdigest()


def _as_table(rows: list[Row], row_kind: RowKind) -> Any:
    columns: dict[str, list[Any]] = {
        "row": [row.number for row in rows],
        "extras": [json.dumps(dict(row.extras), ensure_ascii=False) for row in rows],
    }
    if row_kind == "messages":
        columns["messages"] = [
            [{"role": message.role, "content": message.content} for message in row.messages] for row in rows
        ]
    else:
        columns["prompt"] = [row.prompt for row in rows]
        columns["completion"] = [row.completion for row in rows]
    return pa.table(columns, schema=_SCHEMAS[row_kind])


def _as_row(values: dict[str, Any]) -> Row:
    return Row(
        number=values["row"],
        prompt=values.get("prompt", ""),
        completion=values.get("completion", ""),
        messages=tuple(Message(turn["role"], turn["content"]) for turn in values.get("messages", ())),
        extras=json.loads(values["extras"]),
    )

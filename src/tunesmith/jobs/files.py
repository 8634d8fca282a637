"""The one owner of fsync and rename: what is written here is there entirely or not at all."""

from __future__ import annotations

import errno
import json
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from tunesmith.schemas.base import SCHEMA_VERSION, Document
from tunesmith.schemas.errors import DiskFull, StorageFailed, TunesmithError

_DocumentT = TypeVar("_DocumentT", bound=Document)
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def write_bytes(path: Path, content: bytes) -> None:
    """Replace `path` atomically and durably.

    Raises:
        DiskFull, StorageFailed: nothing has changed at `path`.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with storage_errors(path):
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            fsync_folder(path.parent)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def write_document(path: Path, document: Document) -> None:
    """Replace `path` with the document as JSON. Raises as `write_bytes`."""
    write_bytes(path, document.model_dump_json(indent=1).encode() + b"\n")


def append_lines(path: Path, lines: Sequence[str]) -> None:
    """Append lines of text durably, all or (but for a torn one, which readers pass over) none of them.

    Raises:
        DiskFull, StorageFailed: they may not be counted on.
    """
    # One write, so that two processes cannot mix their lines; a leading newline ends a line that was left torn.
    content = "".join(f"\n{line}\n" for line in lines).encode()
    with storage_errors(path):
        new = not path.exists()
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            if os.write(descriptor, content) != len(content):
                raise OSError(errno.ENOSPC, "short write")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if new:
            fsync_folder(path.parent)


def write_disposable(path: Path, content: bytes) -> None:
    """Replace `path` atomically, but neither durably nor for certain.

    For what can be computed again: a store that takes no more writes is no error, and what a power failure leaves at
    `path` may be anything.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def read_document(path: Path, model: type[_DocumentT]) -> _DocumentT | None:
    """The document at `path`, or None when it is missing, torn, foreign or of a newer schema version."""
    try:
        document = model.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    return document if getattr(document, "schema_version", 0) <= SCHEMA_VERSION else None


def read_json(path: Path) -> Any:
    """The JSON value at `path`, or None when it is missing or not JSON."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def make_folder(folder: Path) -> None:
    """Make a folder, durably; nothing happens when it is there. Its parent has to be."""
    with suppress(FileExistsError):
        folder.mkdir()
        fsync_folder(folder.parent)


def fsync_folder(folder: Path) -> None:
    """Make renames within `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_tree(folder: Path) -> None:
    """Make every file below `folder`, and the folders themselves, durable."""
    for directory, _, names in os.walk(folder, onerror=_refuse):
        for name in names:
            descriptor = os.open(Path(directory, name), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        fsync_folder(Path(directory))


def _refuse(error: OSError) -> None:
    """A folder that cannot be listed cannot be made durable; os.walk would pass over it."""
    raise error


def commit_folder(temporary: Path, final: Path) -> None:
    """Give a finished folder its final name, durably.

    Raises:
        FileExistsError: `final` is there already; `temporary` is untouched.
    """
    fsync_tree(temporary)
    try:
        temporary.rename(final)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            raise FileExistsError(error.errno, "the folder exists", str(final)) from error
        raise
    fsync_folder(final.parent)


def rename_durably(path: Path, new: Path) -> None:
    """Give a file or folder another name in the same folder; nothing in it is read, opened or synced."""
    path.rename(new)
    fsync_folder(new.parent)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Tell a refused write to `path` as one of our errors."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise storage_error(error, path) from error


def storage_error(error: OSError, path: Path) -> TunesmithError:
    """What an OSError from a write means for the caller."""
    if error.errno in _FULL:
        return DiskFull(
            f"The disk that holds the store ({path.anchor}…/{path.parent.name}) has no room left.",
            "Free some space, or point TUNESMITH_HOME at another disk, then call again. Nothing was half-made.",
        )
    return StorageFailed(
        f"The store could not be written ({os.strerror(error.errno or 0)}).",
        "Check that TUNESMITH_HOME is writable (tunesmith doctor), then call again.",
    )

"""One local file, opened without following links and watched for changes while it is read."""

from __future__ import annotations

import errno
import lzma
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

import pyarrow as pa

from tunesmith.schemas.errors import OutOfMemory, SourceNotFound, TunesmithError, UnreadableSource, UnsafePath

_TRAVERSE = getattr(os, "O_PATH", os.O_RDONLY) | os.O_NOFOLLOW | os.O_DIRECTORY
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_LINK_ERRORS = (errno.ELOOP, errno.EMLINK, errno.ENOTDIR)


@dataclass(frozen=True)
class LocalFile:
    """A regular file as it was when it was first looked at.

    `path` is absolute and has no links in it; `name` is how messages call the file; `identity` is
    (device, inode, size in bytes, time of change in ns).
    """

    path: Path
    name: str
    identity: tuple[int, int, int, int]

    @property
    def size(self) -> int:
        """In bytes."""
        return self.identity[2]

    @contextmanager
    def reading(self) -> Iterator[BufferedReader]:
        """The open file, and the errors of everything that reads it told in our terms.

        Raises:
            SourceNotFound, UnsafePath: it is gone, or a link stands where it or one of its folders was.
            UnreadableSource: no permission, an input error, damaged compression, or the file has changed since it
                was first looked at; that is found at the end at the latest.
            OutOfMemory: a row or table in it does not fit into memory.
        """
        with reading_errors(self.name):
            descriptor = _open_regular(self.path, self.name)
            try:
                self._check_unchanged(descriptor)
                # A second descriptor, as some readers close the file that they are given.
                with os.fdopen(os.dup(descriptor), "rb") as file:
                    yield file
                self._check_unchanged(descriptor)
            finally:
                os.close(descriptor)

    def _check_unchanged(self, descriptor: int) -> None:
        if _identity(os.fstat(descriptor)) != self.identity:
            raise UnreadableSource(
                f"{self.name} has changed while it was read.",
                "Let the program that writes it finish, then call load_dataset again.",
            )


def look_at(path: Path, name: str) -> LocalFile:
    """The regular file at `path`, which is absolute and resolved. Raises as `LocalFile.reading`."""
    with reading_errors(name):
        descriptor = _open_regular(path, name)
        try:
            return LocalFile(path, name, _identity(os.fstat(descriptor)))
        finally:
            os.close(descriptor)


@contextmanager
def reading_errors(name: str) -> Iterator[None]:
    """What the system and the libraries raise about the file called `name`, as TunesmithError."""
    try:
        yield
    except TunesmithError:
        raise
    except MemoryError as error:
        raise OutOfMemory(
            f"Reading {name} needs more memory than a job may use.",
            "Split it into smaller files or save it as JSON lines, and call load_dataset again.",
        ) from error
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        raise UnreadableSource(
            f"{name} is compressed, and damaged or incomplete.",
            "Download or compress it again and call load_dataset.",
        ) from error
    except pa.ArrowException as error:
        raise UnreadableSource(
            f"{name} is a Parquet or Arrow file, but damaged or incomplete.",
            "Download or export it again and call load_dataset.",
        ) from error
    except OSError as error:
        raise _system_error(name, error) from error


def _system_error(name: str, error: OSError) -> TunesmithError:
    if isinstance(error, FileNotFoundError):
        return SourceNotFound(f"There is no file {name}.", "Check the path and call load_dataset again.")
    if error.errno in _LINK_ERRORS:
        return UnsafePath(
            f"{name}, or a folder above it, has become a link since it was checked.",
            "Call load_dataset with the real path.",
        )
    if isinstance(error, PermissionError):
        return UnreadableSource(
            f"{name} may not be read by this user.",
            "Have the person allow it (chmod), then call load_dataset again.",
        )
    return UnreadableSource(
        f"{name} cannot be read ({error.strerror or 'damaged or incomplete'}).",
        "Check the file and its disk, then call load_dataset again.",
    )


def _open_regular(path: Path, name: str) -> int:
    """Open folder by folder, each without following a link, so that a swap after the check is noticed."""
    folder = os.open(path.anchor, _TRAVERSE)
    try:
        for part in path.parts[1:-1]:
            inner = os.open(part, _TRAVERSE, dir_fd=folder)
            os.close(folder)
            folder = inner
        # Looked at before it is opened: opening a device can already do something.
        _refuse_irregular(os.stat(path.name, dir_fd=folder, follow_symlinks=False), name)
        descriptor = os.open(path.name, _READ, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        _refuse_irregular(os.fstat(descriptor), name)
    except TunesmithError:
        os.close(descriptor)
        raise
    return descriptor


def _refuse_irregular(found: os.stat_result, name: str) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.ELOOP, "a link")
    if not stat.S_ISREG(found.st_mode):
        raise UnreadableSource(f"{name} is not a regular file.", "Name a data file or a folder of them.")


def _identity(found: os.stat_result) -> tuple[int, int, int, int]:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)

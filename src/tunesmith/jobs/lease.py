"""Who is alive: a POSIX record lock that the kernel drops the moment its owner ends, however it ends.

POSIX locks and not flock: a child forked by a killed owner keeps a flock, while it never inherits a POSIX lock, and
F_GETLK names the holder. Their one trap is that closing *any* descriptor of the file in the owning process drops the
lock, so a process remembers which leases it holds and never opens them a second time.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

# struct flock: (type, whence, start, len, pid) on Linux, (start, len, pid, type, whence) on macOS and the BSDs.
_LINUX = sys.platform.startswith("linux")
_LAYOUT = "hhqqi4x" if _LINUX else "qqihh"

_FileId = tuple[int, int]
_held: set[_FileId] = set()
"""The files whose lease this process holds."""


@dataclass(frozen=True)
class Lease:
    """A lock held by this process until it ends or calls `release`."""

    descriptor: int

    @classmethod
    def acquire(cls, path: Path) -> Lease | None:
        """Take the lease without waiting; None when somebody holds it, this process included."""
        if _file_id(path) in _held:
            return None
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        _held.add(_id_of(os.fstat(descriptor)))
        return cls(descriptor)

    def release(self) -> None:
        """Give the lease up."""
        _held.discard(_id_of(os.fstat(self.descriptor)))
        os.close(self.descriptor)


def holder(path: Path) -> int | None:
    """The pid of the process that holds the lease, or None."""
    if _file_id(path) in _held:
        return os.getpid()
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, _query())
    finally:
        os.close(descriptor)
    fields = struct.unpack(_LAYOUT, answer)
    lock_type, pid = (fields[0], fields[4]) if _LINUX else (fields[3], fields[2])
    return None if lock_type == fcntl.F_UNLCK else pid


def _file_id(path: Path) -> _FileId | None:
    try:
        return _id_of(path.stat())
    except OSError:
        return None


def _id_of(status: os.stat_result) -> _FileId:
    return status.st_dev, status.st_ino


def _query() -> bytes:
    if _LINUX:
        return struct.pack(_LAYOUT, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    return struct.pack(_LAYOUT, 0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET)

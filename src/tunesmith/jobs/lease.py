"""Who is alive: a POSIX record lock that the kernel drops the moment its owner ends, however it ends.

POSIX locks and not flock: a child forked by a killed owner keeps a flock, while it never inherits a POSIX lock, and
F_GETLK names the holder. Their one trap is that closing *any* descriptor of the file in the owning process drops the
lock, so a process remembers which leases it holds and never opens them a second time.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

# struct flock: (type, whence, start, len, pid) on Linux, (start, len, pid, type, whence) on macOS and the BSDs.
_LINUX = sys.platform.startswith("linux")
_LAYOUT = "hhqqi4x" if _LINUX else "qqihh"

_FileId = tuple[int, int]
_held: set[_FileId] = set()
"""The files whose lease this process holds."""


class Liveness(StrEnum):
    """Whether somebody holds a lease. Nothing may act on UNKNOWN: its owner may be at work."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Look:
    """What looking at a lease told: `pid` of a living holder, `missing` where there is no file, why it is unknown."""

    liveness: Liveness
    pid: int | None = None
    missing: bool = False
    why: str = ""


@dataclass(frozen=True)
class Lease:
    """A lock held by this process until it ends or calls `release`."""

    descriptor: int
    path: Path

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
        return cls(descriptor, path)

    def is_held(self) -> bool:
        """Whether the file that this process has locked is still the one that others would look at."""
        return _file_id(self.path) == _id_of(os.fstat(self.descriptor))

    def release(self) -> None:
        """Give the lease up."""
        _held.discard(_id_of(os.fstat(self.descriptor)))
        os.close(self.descriptor)


def look(path: Path) -> Look:
    """Who holds the lease, as far as the file system can tell."""
    if _file_id(path) in _held:
        return Look(Liveness.ALIVE, os.getpid())
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return Look(Liveness.DEAD, missing=True)
    except OSError as error:
        return _unknown("opened", error)
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, _query())
    except OSError as error:
        return _unknown("asked for its lock", error)
    finally:
        os.close(descriptor)
    fields = struct.unpack(_LAYOUT, answer)
    lock_type, pid = (fields[0], fields[4]) if _LINUX else (fields[3], fields[2])
    if lock_type == fcntl.F_UNLCK:
        return Look(Liveness.DEAD)
    return Look(
        Liveness.ALIVE, pid if pid > 0 else None
    )  # another machine's, or another container's, has no number here


def holder(path: Path) -> int | None:
    """The pid of the process that is known to hold the lease, or None."""
    return look(path).pid


def kill_holder(path: Path) -> bool:
    """SIGKILL whoever holds the lease; False when nobody is known to.

    A pid may go to a stranger between asking and signalling. A pidfd names one process for good, so it is opened
    first and the lease asked again: who still holds it then is who the pidfd stands for.
    """
    pid = holder(path)
    if pid is None or pid == os.getpid():
        return False
    with suppress(ProcessLookupError):
        if not hasattr(os, "pidfd_open"):
            os.kill(pid, signal.SIGKILL)
            return True
        process = os.pidfd_open(pid)
        try:
            if holder(path) == pid:
                signal.pidfd_send_signal(process, signal.SIGKILL)
                return True
        finally:
            os.close(process)
    return False


def _unknown(what: str, error: OSError) -> Look:
    return Look(Liveness.UNKNOWN, why=f"its lease cannot be {what} ({os.strerror(error.errno or errno.EIO)})")


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

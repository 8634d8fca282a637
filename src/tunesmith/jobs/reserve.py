"""Room on the disk that an attempt keeps back, so that even on a full one it can still tell how it ended."""

from __future__ import annotations

import os
from pathlib import Path

from tunesmith.jobs.files import storage_errors

RESERVE_BYTES = 65536
"""Some blocks of any file system. The terminal event is one or two of them; others who write may be quicker to take
what is released."""


def hold(path: Path) -> None:
    """Take the room, as real blocks: random bytes, which no file system stores as a hole or makes smaller.

    What an earlier attempt took is as good.

    Raises:
        DiskFull, StorageFailed: `path` holds whatever room there was.
    """
    if path.exists() and path.stat().st_size == RESERVE_BYTES:
        return
    with storage_errors(path), path.open("wb", buffering=0) as file:
        content = os.urandom(RESERVE_BYTES)
        while content:
            content = content[file.write(content) :]
        os.fsync(file.fileno())


def release(path: Path) -> None:
    """Give the room back. It does not matter whether it was there."""
    path.unlink(missing_ok=True)

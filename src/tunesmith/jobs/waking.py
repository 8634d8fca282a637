"""The FIFO through which anybody wakes a store's host."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from tunesmith.jobs.paths import Store


def poke(store: Store) -> bool:
    """Wake the store's host; False when none is listening."""
    return write_line(store.host_wake, b"\n")


def open_wake(store: Store) -> int:
    """The descriptor on which the host hears."""
    return open_fifo(store.host_wake)


def open_fifo(path: Path) -> int:
    """The reading end of a FIFO that is made where there is none."""
    with suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    # Opened for writing too: otherwise the last writer's close would make it readable for ever.
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def write_line(path: Path, line: bytes) -> bool:
    """Give a line to whoever reads the FIFO; False when nobody does."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            return False
        raise
    try:
        os.write(descriptor, line)
    except BlockingIOError:  # full of wake-ups already
        pass
    finally:
        os.close(descriptor)
    return True

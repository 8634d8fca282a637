"""How the host gives more work to a process that has stayed after its own: a line in a FIFO for each turn."""

from __future__ import annotations

import os
import select
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tunesmith.jobs import clock, lease
from tunesmith.jobs.paths import Store
from tunesmith.jobs.waking import open_fifo, write_line

_LOOK_S = 1.0
"""How often one that waits looks whether its host is still there."""

Turn = tuple[str, int]
"""A handle, and which attempt at it."""


@dataclass(frozen=True)
class Turns:
    """The receiving end."""

    store: Store
    path: Path
    descriptor: int
    host_pid: int | None

    @classmethod
    def receive(cls, store: Store, path: Path) -> Turns:
        """Listen at the FIFO `path` for the host that serves the store now."""
        return cls(store, path, open_fifo(path), lease.holder(store.host_lease))

    def next(self, within_s: float, terminated: threading.Event) -> Turn | None:
        """The next turn; None when there is none: told to leave, terminated, without a host, or after `within_s`."""
        until = clock.boot_s() + within_s
        while not terminated.is_set() and clock.boot_s() < until:
            if lease.holder(self.store.host_lease) != self.host_pid:
                break
            ready, _, _ = select.select(
                [self.descriptor], [], [], min(_LOOK_S, max(0.0, until - clock.boot_s()))
            )
            if ready and not terminated.is_set():
                handle, _, attempt = _line(self.descriptor).partition(" ")
                if handle:
                    return handle, int(attempt)
                break
        with suppress(FileNotFoundError):
            self.path.unlink()  # from here on the host's writing fails, and it starts another process
        os.close(self.descriptor)
        return None


def give(path: Path, turn: Turn) -> bool:
    """Have the process that listens at `path` do the work; False when none does."""
    return write_line(path, f"{turn[0]} {turn[1]}\n".encode())


def send_away(path: Path) -> None:
    """Have the process that listens at `path` leave."""
    write_line(path, b"\n")


def _line(descriptor: int) -> str:
    """One line: a turn is sent in one write and taken before the next is sent, except for the word to leave."""
    text = b""
    while not text.endswith(b"\n"):
        text += os.read(descriptor, 1)
    return text.decode().strip()

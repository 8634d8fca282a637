"""Job processes forked from a process that has the machine-learning stack imported already.

Importing the stack takes 10 s and more; forking a process that has done it takes milliseconds. Where forking a process
with loaded native libraries is unsafe (macOS), or until the stack is in, jobs are spawned as fresh interpreters.
"""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait as wait_for_any
from typing import Any, Protocol

CAN_FORK = sys.platform.startswith("linux")


class JobProcess(Protocol):
    """A started process, whichever way it was started."""

    @property
    def waitable(self) -> int | None:
        """A descriptor that becomes readable when the process ends; None when there is none."""

    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""

    def kill(self) -> None:
        """SIGKILL it, if it is there."""


@dataclass(frozen=True)
class ForkedProcess:
    """Forked from the preloaded forkserver."""

    process: Any

    @property
    def waitable(self) -> int | None:
        return int(self.process.sentinel)

    def returncode(self) -> int | None:
        code: int | None = self.process.exitcode
        return code

    def kill(self) -> None:
        self.process.kill()


@dataclass(frozen=True)
class SpawnedProcess:
    """A fresh interpreter."""

    process: subprocess.Popen[bytes]

    @property
    def waitable(self) -> int | None:
        return None

    def returncode(self) -> int | None:
        return self.process.poll()

    def kill(self) -> None:
        self.process.kill()


@dataclass
class ForkServer:
    """Preloads modules in the background; `is_warm` tells when forking has become cheap."""

    preload: Sequence[str]
    on_warm: Callable[[], object]
    _warm: threading.Event = field(default_factory=threading.Event)

    def warm_up(self) -> None:
        """Begin to import the modules, in the forkserver process, without waiting for it."""
        if CAN_FORK:
            context = multiprocessing.get_context("forkserver")
            context.set_forkserver_preload(list(self.preload))
            threading.Thread(target=self._probe, name="forkserver-probe", daemon=True).start()

    def is_warm(self) -> bool:
        return self._warm.is_set()

    def fork(self, target: Callable[..., None], arguments: tuple[object, ...]) -> ForkedProcess:
        """Start `target(*arguments)`; both have to be picklable."""
        process = multiprocessing.get_context("forkserver").Process(target=target, args=arguments)
        process.start()
        return ForkedProcess(process)

    def _probe(self) -> None:
        # The forkserver answers its first request only once it has imported everything.
        process = multiprocessing.get_context("forkserver").Process(target=_nothing)
        process.start()
        process.join()
        self._warm.set()
        self.on_warm()


def _nothing() -> None:
    """The body of the first forked process."""


def wait_for(processes: Sequence[JobProcess], others: Sequence[int], timeout_s: float) -> None:
    """Return when a process has ended, a descriptor of `others` is readable, or the time is up."""
    waitables = [process.waitable for process in processes]
    wait_for_any([*others, *(waitable for waitable in waitables if waitable is not None)], timeout_s)

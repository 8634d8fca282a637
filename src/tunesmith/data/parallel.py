"""Work on many independent tasks in a few processes: results in order, progress, cancel, and no orphans.

Not `concurrent.futures`: its workers outlive a parent that is killed, and they cannot tell how far a long task is.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from tunesmith.schemas.errors import OutOfMemory, TunesmithError

Task = TypeVar("Task")
Result = TypeVar("Result")

Tell = Callable[[float], None]
"""Called by a task's function with the share of the task that is done, from 0 to 1, as often as it likes."""
Beat = Callable[[float], None]
"""Called in the parent, several times a second, with the number of tasks done, parts of tasks included."""

_POLL_S = 0.25
_TELL_EVERY_S = 0.25
_AHEAD = 4
"""Results that may wait for an earlier one, times the number of workers: what bounds memory."""


def worker_count() -> int:
    """As many as this process may use cores, at most 8."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(8, cores)


def ordered_map(
    function: Callable[[Task, Tell], Result], tasks: Sequence[Task], workers: int, beat: Beat
) -> Iterator[Result]:
    """`function(task, tell)` for every task, the results in the tasks' order.

    With one worker, or one task, everything happens in this process. Otherwise function, tasks and results have to
    be picklable. What `beat` raises ends the workers and reaches the caller.

    Raises:
        TunesmithError: what a task raised.
        OutOfMemory: a worker was killed, as the kernel does when memory is short.
        WorkerError: a task failed in a way nobody foresaw.
    """
    if workers <= 1 or len(tasks) <= 1:
        for done, task in enumerate(tasks):
            beat(done)
            yield function(task, _Throttled(partial(_beat_within, beat, done)))
        return
    crew = _Crew(function, tasks, min(workers, len(tasks)))
    try:
        yield from crew.results(beat)
    finally:
        crew.dismiss()


@contextmanager
def collector_off() -> Iterator[None]:
    """For loops over rows: they make no reference cycles, and looking for some takes a fifth of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


class WorkerError(Exception):
    """A bug in a task's function; the text is the worker's traceback."""


@dataclass(frozen=True)
class _Failed:
    error: BaseException


class _ParentGone(BaseException):
    """Nobody is waiting for this worker any more. Not an Exception: no task's function may catch it."""


def _beat_within(beat: Beat, done: int, share: float) -> None:
    beat(done + share)


class _Throttled:
    """Passes on at most a few calls a second."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._due = time.monotonic()

    def __call__(self, share: float) -> None:
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _TELL_EVERY_S
            self._tell(share)


class _Crew(Generic[Task, Result]):
    def __init__(self, function: Callable[[Task, Tell], Result], tasks: Sequence[Task], size: int) -> None:
        self._tasks = tasks
        self._next = 0
        self._done: dict[int, Result] = {}
        self._shares: dict[int, float] = {}
        self._busy: dict[Connection, int] = {}
        self._processes: list[Any] = []
        # fork shares what is imported; where it is unsafe, fresh interpreters import it again.
        context: Any = multiprocessing.get_context("fork" if sys.platform.startswith("linux") else "spawn")
        for _ in range(size):
            ours, theirs = context.Pipe()
            # A forked worker holds copies of the ends that belong to the parent; it has to close them, or it
            # would never see the end of its own pipe.
            others = [ours, *self._busy]
            process = context.Process(target=_serve, args=(theirs, others, function))
            process.start()
            theirs.close()
            self._processes.append(process)
            self._busy[ours] = -1

    def results(self, beat: Beat) -> Iterator[Result]:
        wanted = 0
        for connection in self._busy:
            self._give(connection, wanted)
        while wanted < len(self._tasks):
            beat(wanted + len(self._done) + sum(self._shares.values()))
            while wanted in self._done:
                yield self._done.pop(wanted)
                wanted += 1
            for connection in [one for one, task in self._busy.items() if task < 0]:
                self._give(connection, wanted)
            if waiting := [one for one, task in self._busy.items() if task >= 0]:
                for ready in wait(waiting, _POLL_S):
                    assert isinstance(ready, Connection)
                    self._hear(ready)

    def dismiss(self) -> None:
        for connection in self._busy:
            connection.close()
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()

    def _give(self, connection: Connection, wanted: int) -> None:
        if self._next < len(self._tasks) and self._next < wanted + _AHEAD * len(self._processes):
            self._busy[connection] = self._next
            connection.send((self._next, self._tasks[self._next]))
            self._next += 1

    def _hear(self, connection: Connection) -> None:
        try:
            number, share, result = connection.recv()
        except (EOFError, OSError) as error:
            raise OutOfMemory(
                "A process that worked on the data was ended from outside, as happens when memory runs out.",
                "Close other programs, or load fewer rows (max_rows) or smaller files, and call again.",
            ) from error
        if share is not None:
            self._shares[number] = share
            return
        if isinstance(result, _Failed):
            raise result.error
        self._shares.pop(number, None)
        self._done[number] = result
        self._busy[connection] = -1


def _serve(
    connection: Connection, others: Sequence[Connection], function: Callable[[Any, Tell], Any]
) -> None:
    """The life of a worker: until its parent hangs up."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for other in others:
        other.close()
    try:
        while True:
            number, task = _receive(connection)
            tell = partial(_send_share, connection, number)
            _send(connection, (number, None, _result(function, task, _Throttled(tell))))
    except _ParentGone:
        os._exit(0)


def _result(function: Callable[[Any, Tell], Any], task: Any, tell: Tell) -> Any:
    try:
        return function(task, tell)
    except (TunesmithError, MemoryError) as error:
        return _Failed(error)
    except Exception:  # noqa: BLE001 - it has to reach the parent, whatever it is
        return _Failed(WorkerError(traceback.format_exc()))


def _receive(connection: Connection) -> Any:
    try:
        return connection.recv()
    except (EOFError, OSError) as error:
        raise _ParentGone from error


def _send(connection: Connection, message: object) -> None:
    try:
        connection.send(message)
    except OSError as error:
        raise _ParentGone from error


def _send_share(connection: Connection, number: int, share: float) -> None:
    _send(connection, (number, share, None))

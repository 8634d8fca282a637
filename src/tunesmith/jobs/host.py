"""The background host: one detached process per store. It starts queued work, records how each process ended, outlives
servers and clients, and leaves when it has been idle for a while."""

from __future__ import annotations

import errno
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType

from tunesmith.jobs import clock
from tunesmith.jobs.forkserver import CAN_FORK, ForkServer, JobProcess, SpawnedProcess, wait_for
from tunesmith.jobs.journal import Journal
from tunesmith.jobs.lease import Lease
from tunesmith.jobs.paths import Store
from tunesmith.jobs.snapshot import Observer, Snapshot
from tunesmith.schemas.enums import RunState, Work
from tunesmith.schemas.errors import TunesmithError, UnknownHandle
from tunesmith.schemas.handles import is_handle, work_of

DEFAULT_IDLE_S = 600.0
_HEAVY = {Work.TRAIN, Work.EVALUATE, Work.GENERATE, Work.CONFIGURE}
"""Work that needs the whole stack; while that is being imported, waiting for it is as fast as importing it twice."""
_SLOTS = {"train": 1, "other": 2}
_POLL_S = 0.5
_SPAWN_POLL_S = 0.05

JobEntry = Callable[[str, str, int], None]


@dataclass
class _Job:
    handle: str
    attempt: int
    process: JobProcess


@dataclass
class Host:
    """Serves one store. `entry(store_root, handle, attempt)` is what a job process runs."""

    store: Store
    entry: JobEntry
    preload: Sequence[str]
    idle_s: float = DEFAULT_IDLE_S
    _jobs: dict[str, _Job] = field(default_factory=dict)
    _warming: dict[str, int] = field(default_factory=dict)
    _leaving: bool = False

    def serve(self) -> int:
        """Serve until idle or told to leave; returns an exit status. At once when another host serves the store."""
        self.store.host.mkdir(parents=True, exist_ok=True)
        self.store.queue.mkdir(exist_ok=True)
        lease = Lease.acquire(self.store.host_lease)
        if lease is None:
            return 0
        wake = _open_wake(self.store)
        self._observer = Observer(self.store)
        self._forkserver = ForkServer(self.preload, on_warm=lambda: poke(self.store))
        self._forkserver.warm_up()
        signal.signal(signal.SIGTERM, self._leave)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while True:
            self._serve_until_idle(wake)
            lease.release()
            # Whoever queued something before the release may have seen a live host and left it to us.
            if self._leaving or not self._queue():
                break
            again = Lease.acquire(self.store.host_lease)
            if again is None:
                break
            lease = again
        return 0

    def _leave(self, _signal: int, _frame: FrameType | None) -> None:
        self._leaving = True
        poke(self.store)  # a wait that a signal interrupts is taken up again, so it has to be ended

    def _serve_until_idle(self, wake: int) -> None:
        idle_since = clock.boot_s()
        while not self._leaving:
            foreign = self._step()
            if self._jobs or self._warming or foreign:
                idle_since = clock.boot_s()
            left_s = self.idle_s - (clock.boot_s() - idle_since)
            if left_s <= 0:
                return
            self._wait(wake, left_s, foreign)

    def _wait(self, wake: int, left_s: float, foreign: bool) -> None:
        spawned = any(job.process.waitable is None for job in self._jobs.values())
        timeout_s = _SPAWN_POLL_S if spawned else _POLL_S if foreign else min(left_s, 60.0)
        wait_for([job.process for job in self._jobs.values()], [wake], timeout_s)
        while select.select([wake], [], [], 0)[0]:
            os.read(wake, 4096)

    def _step(self) -> bool:
        """Reap, then start what can be started. Returns whether processes of an earlier host still work."""
        self._reap()
        foreign = False
        for handle in self._queue():
            if handle in self._jobs:
                continue
            try:
                snapshot = self._observer.look(handle)
            except UnknownHandle:
                self._unqueue(handle)
                continue
            if snapshot.state is RunState.QUEUED or handle in self._warming:
                self._consider(snapshot)
            elif snapshot.state.is_active:
                foreign = True
            else:
                self._unqueue(handle)
        return foreign

    def _consider(self, snapshot: Snapshot) -> None:
        handle = snapshot.handle
        attempt = max(1, snapshot.ledger.attempt)
        journal = Journal(snapshot.paths.journal, attempt)
        if snapshot.paths.stop.exists():
            journal.append("finished", durable=True, state=RunState.STOPPED.value, error=None)
            self._warming.pop(handle, None)
            self._unqueue(handle)
            return
        if handle not in self._warming and not self._has_slot(work_of(handle)):
            return
        waits = CAN_FORK and work_of(handle) in _HEAVY and not self._forkserver.is_warm()
        if handle not in self._warming:
            journal.append("claimed", durable=True, host_pid=os.getpid())
            if waits:
                journal.append("phase", phase="warming up: importing the training stack")
        if waits:
            self._warming[handle] = attempt
            return
        self._warming.pop(handle, None)
        self._start(handle, attempt)

    def _has_slot(self, work: Work) -> bool:
        kind = "train" if work is Work.TRAIN else "other"
        busy = [*self._jobs, *self._warming]
        used = sum((work_of(handle) is Work.TRAIN) == (work is Work.TRAIN) for handle in busy)
        return used < _SLOTS[kind]

    def _start(self, handle: str, attempt: int) -> None:
        root = str(self.store.root)
        process: JobProcess
        if CAN_FORK and self._forkserver.is_warm():
            process = self._forkserver.fork(self.entry, (root, handle, attempt))
        else:
            process = SpawnedProcess(spawn(self.store, handle, attempt))
        self._jobs[handle] = _Job(handle, attempt, process)

    def _reap(self) -> None:
        for job in list(self._jobs.values()):
            code = job.process.returncode()
            if code is None:
                continue
            del self._jobs[job.handle]
            try:
                Journal(self.store.handle(job.handle).journal, job.attempt).append(
                    "exited", durable=True, returncode=code
                )
            except TunesmithError as error:  # a full disk must not end the host; the lease tells the rest
                print(f"{job.handle}: exit {code} not recorded: {error}", file=sys.stderr)  # noqa: T201
            self._unqueue(job.handle)

    def _queue(self) -> list[str]:
        names = [name for name in (entry.name for entry in self.store.queue.iterdir()) if is_handle(name)]
        return sorted(names, key=self._queued_at)

    def _queued_at(self, name: str) -> float:
        try:
            return self.store.queued(name).stat().st_mtime
        except OSError:
            return 0.0

    def _unqueue(self, handle: str) -> None:
        # Somebody may have asked for one more attempt in between: that one stays queued.
        with suppress(UnknownHandle):
            if self._observer.look(handle).state is RunState.QUEUED:
                return
        self.store.queued(handle).unlink(missing_ok=True)


def spawn(store: Store, handle: str, attempt: int) -> subprocess.Popen[bytes]:
    """Start a job as a fresh interpreter, detached, in its own session, with this process's environment."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "tunesmith.worker", str(store.root), handle, str(attempt)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=store.root,
        start_new_session=True,
    )


def poke(store: Store) -> bool:
    """Wake the store's host; False when none is listening."""
    try:
        descriptor = os.open(store.host_wake, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.ENOENT):
            return False
        raise
    try:
        os.write(descriptor, b"\n")
    except BlockingIOError:  # full of wake-ups already
        pass
    finally:
        os.close(descriptor)
    return True


def _open_wake(store: Store) -> int:
    with suppress(FileExistsError):
        os.mkfifo(store.host_wake, 0o600)
    # Opened for writing too: otherwise the last writer's close would make it readable for ever.
    return os.open(store.host_wake, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

"""The background host: one detached process per store. It starts queued work, records how each process ended, outlives
servers and clients, and leaves when it has been idle for a while."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from tunesmith.jobs import clock
from tunesmith.jobs.devices import CPU, Device, Tenant, place, this_machines_devices
from tunesmith.jobs.files import read_document
from tunesmith.jobs.forkserver import CAN_FORK, ForkServer, JobProcess, SpawnedProcess, wait_for
from tunesmith.jobs.journal import Journal
from tunesmith.jobs.lease import Lease, kill_holder
from tunesmith.jobs.oom import oom_kills
from tunesmith.jobs.paths import Store
from tunesmith.jobs.process import EXIT_UNUSED, NOT_AN_END
from tunesmith.jobs.queue import Queue
from tunesmith.jobs.snapshot import Observer, Snapshot
from tunesmith.jobs.stopping import read_stop
from tunesmith.jobs.submission import is_untouched
from tunesmith.jobs.turns import give, send_away
from tunesmith.jobs.waking import open_wake, poke
from tunesmith.schemas.enums import RunState, Work
from tunesmith.schemas.errors import TunesmithError, UnknownHandle
from tunesmith.schemas.handles import is_handle, work_of
from tunesmith.schemas.plans import Plan

DEFAULT_IDLE_S = 600.0
_HEAVY = {Work.TRAIN, Work.EVALUATE, Work.GENERATE, Work.COMPARE, Work.CONFIGURE}
"""Work that needs the whole stack; while that is being imported, waiting for it is as fast as importing it twice."""
_OTHER_SLOTS = 2
_POLL_S = 0.5
_SPAWN_POLL_S = 0.05

_STAYS = {Work.GENERATE}
"""Work whose process stays for more of it: loading a model takes longer than answering."""
STAY_S = 300.0
"""How long it stays when nothing comes."""

JobEntry = Callable[[str, str, int], None]
StayingEntry = Callable[[str, str, int, Path, float], None]


@dataclass
class _Job:
    handle: str
    attempt: int
    process: JobProcess
    tenant: Tenant | None
    oom_kills: int | None
    """The kernel's count when the job began."""


@dataclass
class _Standing:
    """The process that stays for more work, and what it is busy with."""

    process: JobProcess
    turns: Path
    handle: str | None


@dataclass
class Host:
    """Serves one store. `entry(store_root, handle, attempt)` is what a job process runs.

    `devices` are what trainings run on: this machine's, when not given. `staying_entry(..., turns, stay_s)` is what a
    process runs that takes more work through the FIFO `turns`, and leaves when none has come for `stay_s`.
    """

    store: Store
    entry: JobEntry
    preload: Sequence[str]
    idle_s: float = DEFAULT_IDLE_S
    devices: Sequence[Device] | None = None
    staying_entry: StayingEntry | None = None
    stay_s: float = STAY_S
    _standing: _Standing | None = None
    _jobs: dict[str, _Job] = field(default_factory=dict)
    _warming: dict[str, Tenant | None] = field(default_factory=dict)
    _killed: set[str] = field(default_factory=set)
    _leaving: bool = False

    def serve(self) -> int:
        """Serve until idle or told to leave; returns an exit status. At once when another host serves the store."""
        self.store.host.mkdir(parents=True, exist_ok=True)
        self.store.queue.mkdir(exist_ok=True)
        lease = Lease.acquire(self.store.host_lease)
        if lease is None:
            return 0
        wake = open_wake(self.store)
        for left in self.store.host.glob("turns-*"):  # whoever listened there leaves, as its host is gone
            left.unlink(missing_ok=True)
        self._observer, self._queue = Observer(self.store), Queue(self.store)
        self._devices = this_machines_devices() if self.devices is None else self.devices
        self._find_lost()
        self._forkserver = ForkServer(self.preload, on_warm=lambda: poke(self.store))
        self._forkserver.warm_up()
        signal.signal(signal.SIGTERM, self._leave)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while True:
            self._serve_until_idle(wake)
            lease.release()
            # Whoever queued something before the release may have seen a live host and left it to us.
            if self._leaving or not self._queue.handles():
                break
            again = Lease.acquire(self.store.host_lease)
            if again is None:
                break
            lease = again
        return 0

    def _leave(self, _signal: int, _frame: FrameType | None) -> None:
        self._leaving = True
        poke(self.store)  # a wait that a signal interrupts is taken up again, so it has to be ended

    def _find_lost(self) -> None:
        """Queue the runs whose maker died between making their folder and queueing them."""
        for handle in self.store.handles(Work.TRAIN):
            paths = self.store.handle(handle)
            if is_handle(handle) and paths.request.exists() and is_untouched(paths):
                with suppress(TunesmithError):
                    self._queue.add(handle)

    def _serve_until_idle(self, wake: int) -> None:
        idle_since = clock.boot_s()
        while not self._leaving:
            watched = self._step()
            if self._jobs or self._warming or watched:
                idle_since = clock.boot_s()
            left_s = self.idle_s - (clock.boot_s() - idle_since)
            if left_s <= 0:
                return
            self._wait(wake, left_s, watched)

    def _wait(self, wake: int, left_s: float, watched: bool) -> None:
        spawned = any(job.process.waitable is None for job in self._jobs.values())
        timeout_s = _SPAWN_POLL_S if spawned else _POLL_S if watched else min(left_s, 60.0)
        processes = [job.process for job in self._jobs.values()]
        if self._standing is not None and self._standing.handle is None:
            processes.append(self._standing.process)
        wait_for(processes, [wake], timeout_s)
        while select.select([wake], [], [], 0)[0]:
            os.read(wake, 4096)

    def _step(self) -> bool:
        """Reap, end what was to stop long ago, then start what can be started.

        Returns whether something has to be looked at again soon that tells nobody when it changes: the processes of an
        earlier host, a stop that may become overdue, a journal that could not be written.
        """
        self._reap()
        watched = False
        others: list[Tenant] = []
        waiting: list[Snapshot] = []
        for handle in self._queue.handles():
            try:
                snapshot = self._observer.look(handle)
                if handle in self._jobs:
                    watched |= self._end_if_overdue(snapshot)
                    self._take_back(snapshot)
                elif snapshot.state is RunState.QUEUED or handle in self._warming:
                    waiting.append(snapshot)
                elif snapshot.state.is_active:
                    watched = True
                    self._end_if_overdue(snapshot)
                    if work_of(handle) is Work.TRAIN:
                        others.append(Tenant(snapshot.ledger.device or CPU, _wanted_bytes(snapshot)))
                else:
                    self._settle(snapshot)
                    self._unqueue(handle)
            except UnknownHandle:
                self._queue.remove(handle)
            except TunesmithError as error:  # a full disk must not end the host
                self._complain(handle, error)
                watched = True
        return self._start_waiting(waiting, others) or watched

    def _start_waiting(self, waiting: list[Snapshot], others: list[Tenant]) -> bool:
        """Start what there is room for, first come first served. Returns whether a journal could not be written."""
        full: set[bool] = set()
        refused = False
        for snapshot in waiting:
            trains = work_of(snapshot.handle) is Work.TRAIN
            if trains in full and snapshot.handle not in self._warming and not self._is_stopped(snapshot):
                continue  # nobody overtakes, or a large training would wait for ever
            try:
                if not self._consider(snapshot, others):
                    full.add(trains)
            except TunesmithError as error:
                self._complain(snapshot.handle, error)
                refused = True
        return refused

    def _consider(self, snapshot: Snapshot, others: list[Tenant]) -> bool:
        """Start, warm up for, or end the waiting work; False when there is no room for it yet."""
        handle = snapshot.handle
        attempt = max(1, snapshot.ledger.attempt)
        journal = Journal(snapshot.paths.journal, attempt)
        if self._is_stopped(snapshot):
            if snapshot.state is RunState.QUEUED:
                # Before the lease is taken: one beside an empty journal would look as if the journal were lost.
                journal.append("claimed", durable=True, host_pid=os.getpid(), device=None)
            lease = Lease.acquire(snapshot.paths.lease)
            if lease is None:
                return True  # a process that an earlier host has forked begins this very moment
            journal.append("finished", durable=True, state=RunState.STOPPED.value, error=None)
            lease.release()
            self._warming.pop(handle, None)
            self._unqueue(handle)
            return True
        waits = CAN_FORK and work_of(handle) in _HEAVY and not self._forkserver.is_warm()
        if handle not in self._warming:
            room, tenant = self._room_for(snapshot, others)
            if not room:
                return False
            device = None if tenant is None else tenant.device
            journal.append("claimed", durable=True, host_pid=os.getpid(), device=device)
            self._warming[handle] = tenant
            if waits:
                journal.append("phase", phase="warming up: importing the training stack")
        if not waits:
            try:
                self._start(handle, attempt, self._warming.pop(handle))
            except OSError as error:  # no more processes, or no memory for one: an exit like any other
                print(f"{handle}: could not be started: {error}", file=sys.stderr, flush=True)  # noqa: T201
                journal.append("exited", durable=True, returncode=os.EX_OSERR, oom_kills=0)
        return True

    def _is_stopped(self, snapshot: Snapshot) -> bool:
        return snapshot.paths.stop(max(1, snapshot.ledger.attempt)).exists()

    def _room_for(self, snapshot: Snapshot, others: list[Tenant]) -> tuple[bool, Tenant | None]:
        """Whether there is room, and as whose tenant: of a device for a training, of none for other work."""
        if work_of(snapshot.handle) is not Work.TRAIN:
            busy = [handle for handle in [*self._jobs, *self._warming] if work_of(handle) is not Work.TRAIN]
            return len(busy) < _OTHER_SLOTS, None
        ours = [*(job.tenant for job in self._jobs.values()), *self._warming.values()]
        tenants = [*(tenant for tenant in ours if tenant is not None), *others]
        wanted = _wanted_bytes(snapshot)
        device = place(self._devices, tenants, wanted)
        return device is not None, None if device is None else Tenant(device, wanted)

    def _start(self, handle: str, attempt: int, tenant: Tenant | None) -> None:
        root = str(self.store.root)
        environment = (
            {} if tenant is None or tenant.device == CPU else {"CUDA_VISIBLE_DEVICES": tenant.device}
        )
        kills = oom_kills()
        process: JobProcess
        if CAN_FORK and self._forkserver.is_warm():
            arguments = (self.entry, environment, root, handle, attempt)
            process = self._next_turn(handle, attempt) or self._forkserver.fork(_enter, arguments)
        else:
            process = SpawnedProcess(spawn(self.store, handle, attempt, environment))
        self._jobs[handle] = _Job(handle, attempt, process, tenant, kills)

    def _next_turn(self, handle: str, attempt: int) -> JobProcess | None:
        """Give the work to the process that stays, or make it the first work of one; None where it is none for that."""
        work = work_of(handle)
        standing = self._standing
        if work is Work.TRAIN and standing is not None and standing.handle is None:
            self._send_away(standing)  # the memory that its model holds is the training's
        trains = any(work_of(one) is Work.TRAIN for one in self._jobs)
        if self.staying_entry is None or work not in _STAYS or trains:
            return None
        if standing is not None and standing.handle is None:
            if give(standing.turns, (handle, attempt)):
                standing.handle = handle
                return standing.process
            self._standing = standing = None  # it has just left
        if standing is not None:
            return None  # busy: this one gets a process of its own, which leaves again
        turns = self.store.host / f"turns-{handle}"
        turns.unlink(missing_ok=True)
        process = self._forkserver.fork(
            self.staying_entry, (str(self.store.root), handle, attempt, turns, self.stay_s)
        )
        self._standing = _Standing(process, turns, handle)
        return process

    def _send_away(self, standing: _Standing) -> None:
        send_away(standing.turns)
        self._standing = None

    def _take_back(self, snapshot: Snapshot) -> None:
        """Note that the process that stays has done its work: it is free for other work."""
        standing = self._standing
        done = (RunState.SUCCEEDED.value, RunState.STOPPED.value)  # after anything else it leaves
        if standing is not None and standing.handle == snapshot.handle and snapshot.ledger.finished in done:
            standing.handle = None
            del self._jobs[snapshot.handle]
            self._unqueue(snapshot.handle)

    def _end_if_overdue(self, snapshot: Snapshot) -> bool:
        """Kill what was to stop and has not done so in its time; returns whether a stop was asked for at all."""
        handle = snapshot.handle
        stop = read_stop(snapshot.paths, max(1, snapshot.ledger.attempt))
        if stop is not None and stop.is_overdue and handle not in self._killed:
            if not snapshot.ledger.stop_forced:
                # Told before it is done: nobody may take the death that follows for an accident.
                journal = Journal(snapshot.paths.journal, max(1, snapshot.ledger.attempt))
                journal.append("stop_forced", durable=True)
            if kill_holder(snapshot.paths.lease):
                self._killed.add(handle)
            elif handle in self._jobs and snapshot.state is RunState.STARTING:  # it has no lease yet
                self._jobs[handle].process.kill()
                self._killed.add(handle)
        return stop is not None

    def _settle(self, snapshot: Snapshot) -> None:
        """Tell what became of killed work: its process cannot any more."""
        if snapshot.handle not in self._killed:
            return
        self._killed.discard(snapshot.handle)
        if snapshot.state is RunState.STOPPED and snapshot.ledger.finished is None:
            journal = Journal(snapshot.paths.journal, max(1, snapshot.ledger.attempt))
            step = snapshot.ledger.checkpoint_step
            saved = "nothing was committed" if step is None else f"what was committed at step {step} is kept"
            journal.append(
                "finding",
                code="stop_forced",
                severity="warn",
                message=f"The process did not stop in the time it was given and was killed; {saved}.",
                recovery="Steps after that are repeated when the run is resumed. A longer grace_s avoids it.",
            )

    def _reap(self) -> None:
        standing = self._standing
        if standing is not None and standing.process.returncode() is not None:
            standing.turns.unlink(missing_ok=True)
            self._standing = None
        for job in list(self._jobs.values()):
            code = job.process.returncode()
            if code is None:
                continue
            del self._jobs[job.handle]
            try:
                seen = self._observer.look(job.handle)
                if code == EXIT_UNUSED and seen.ledger.worker is None:
                    # It left while it was being given this, which another process begins.
                    self._warming[job.handle] = job.tenant
                    continue
                self._settle(seen)
                if code not in NOT_AN_END:
                    Journal(self.store.handle(job.handle).journal, job.attempt).append(
                        "exited", durable=True, returncode=code, oom_kills=self._killed_for_memory(job, code)
                    )
            except TunesmithError as error:  # the lease tells the rest
                self._complain(job.handle, error)
            self._unqueue(job.handle)

    def _killed_for_memory(self, job: _Job, code: int) -> int:
        """How often the kernel has ended a process for want of memory while the job ran that was ended by SIGKILL."""
        before, now = job.oom_kills, oom_kills()
        if code != -signal.SIGKILL or before is None or now is None:
            return 0
        for other in self._jobs.values():  # a kill is told of one job only
            other.oom_kills = now
        return max(0, now - before)

    def _complain(self, handle: str, error: TunesmithError) -> None:
        print(f"{handle}: not recorded: {error}", file=sys.stderr, flush=True)  # noqa: T201 - the host's log

    def _unqueue(self, handle: str) -> None:
        # Somebody may have asked for one more attempt in between: that one stays queued.
        with suppress(UnknownHandle):
            if self._observer.look(handle).state is RunState.QUEUED:
                return
        self._queue.remove(handle)


def _enter(entry: JobEntry, environment: dict[str, str], root: str, handle: str, attempt: int) -> None:
    os.environ.update(environment)  # before anything asks which GPUs there are
    entry(root, handle, attempt)


def _wanted_bytes(snapshot: Snapshot) -> int:
    plan = read_document(snapshot.paths.plan, Plan)
    return 0 if plan is None else plan.peaks.get("training", 0)


def spawn(
    store: Store, handle: str, attempt: int, environment: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a job as a fresh interpreter, detached, in its own session, with this process's environment and more."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "tunesmith.worker", str(store.root), handle, str(attempt)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=store.root,
        env={**os.environ, **(environment or {})},
        start_new_session=True,
    )

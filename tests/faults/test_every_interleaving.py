"""Whatever callers, host, jobs and clocks do, in whatever order: no state ever changes in a way that has no letter.

The host's own steps, the executor's calls and the lease are real; job processes are stood in for by objects that write
what `jobs/process.py` writes, because a test has to choose when each of them gets on.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.support.fake_jobs import FakeRequest
from tunesmith.jobs import clock, host, lease, submission
from tunesmith.jobs.context import JobContext, Superseded
from tunesmith.jobs.devices import CPU, Device
from tunesmith.jobs.host import Host
from tunesmith.jobs.journal import Journal
from tunesmith.jobs.lease import Lease
from tunesmith.jobs.paths import Store
from tunesmith.jobs.process import check_unbegun
from tunesmith.jobs.queue import Queue
from tunesmith.jobs.snapshot import Observer
from tunesmith.jobs.stopping import request_stop
from tunesmith.schemas.enums import RunState, Work
from tunesmith.schemas.handles import new_handle

Q, S, R, P = RunState.QUEUED, RunState.STARTING, RunState.RUNNING, RunState.STOPPING
SUCCEEDED, FAILED, STOPPED, INTERRUPTED = (
    RunState.SUCCEEDED, RunState.FAILED, RunState.STOPPED, RunState.INTERRUPTED
)  # fmt: skip
LETTERS = {
    (Q, S): "a", (S, R): "b", (R, SUCCEEDED): "c", (R, FAILED): "c", (R, STOPPED): "c", (R, P): "d", (S, P): "d",
    (P, STOPPED): "e", (P, SUCCEEDED): "e", (P, FAILED): "e", (R, INTERRUPTED): "f", (S, INTERRUPTED): "f",
    (P, INTERRUPTED): "f", (INTERRUPTED, FAILED): "g", (S, FAILED): "g", (S, Q): "h",
    (Q, STOPPED): "i", (S, STOPPED): "i", (INTERRUPTED, Q): "j", (STOPPED, Q): "j", (FAILED, Q): "j",
    (Q, R): "k", (Q, P): "k",
}  # fmt: skip
"""docs/reliability.md says what each is."""
YEAR_S = 3.2e7


@dataclass
class Process:
    """A job process that gets on when it is told to."""

    store: Store
    handle: str
    attempt: int
    code: int | None = None
    job: JobContext | None = None
    started: bool = False

    waitable = None

    def returncode(self) -> int | None:
        return self.code

    def kill(self) -> None:
        self.end(-9)

    def end(self, code: int) -> None:
        """The process is gone, and with it its lease."""
        if self.code is None:
            self.code = code
            if self.job is not None and self.job.lease is not None:
                self.job.lease.release()

    def take_lease(self) -> None:
        paths = self.store.handle(self.handle)
        held = Lease.acquire(paths.lease)
        if held is None:
            self.code = 75
            return
        self.job = JobContext(self.store, paths, Journal(paths.journal, self.attempt), held)

    def begin(self) -> None:
        if self.job is None:
            self.take_lease()
        if self.job is None:
            return
        self._unless_superseded(lambda job: (check_unbegun(job), job.journal.append("started", pid=1)))
        self.started = self.code is None

    def step(self, number: int) -> None:
        self._unless_superseded(lambda job: job.progress(number, 100, loss=1.0))

    def commit(self, number: int) -> None:
        self._unless_superseded(lambda job: job.journal.append("checkpoint", step=number))

    def finish(self, state: RunState) -> None:
        error = {"code": "no_rows", "message": "No.", "recovery": "Do."} if state is FAILED else None
        self._unless_superseded(lambda job: job.journal.append("finished", state=state.value, error=error))
        self.end(1 if state is FAILED else 0)

    def write_late(self) -> None:
        """What a process does that has not noticed yet that it was given up."""
        Journal(self.store.handle(self.handle).journal, self.attempt).append(
            "finished", state="succeeded", error=None
        )

    def _unless_superseded(self, write) -> None:
        assert self.job is not None
        try:
            self.job.check_current()
            write(self.job)
        except Superseded:
            self.end(76)


class Forks:
    """Stands in for the forkserver: every job process there ever was."""

    def __init__(self, machine) -> None:
        self.machine = machine

    def is_warm(self) -> bool:
        return True

    def fork(self, _target, arguments) -> Process:
        _, _, root, handle, attempt = arguments
        process = Process(Store(Path(root)), handle, attempt)
        self.machine.processes.append(process)
        return process


class HostKilled(BaseException):
    """The host is gone in the midst of a step."""


class WatchedJournal(Journal):
    """The host's: somebody looks after each write, and the host may be killed before one."""

    machine: ClassVar[Interleavings]

    def append(self, event, **told) -> None:
        self.machine.before_a_write()
        super().append(event, **told)
        self.machine.look()


class WatchedLease:
    """As the journal; leases of a host that was killed are given up by the kernel."""

    machine: ClassVar[Interleavings]

    @classmethod
    def acquire(cls, path):
        cls.machine.before_a_write()
        held = Lease.acquire(path)
        if held is not None:
            cls.machine.held_by_host.append(held)
        cls.machine.look()
        return held


class Interleavings(RuleBasedStateMachine):
    """Up to three runs, one host at a time, two slots."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.patch = pytest.MonkeyPatch()
        self.boot, self.wall, self.kills, self.host_pid = 1000.0, 1.7e9, 0, 100
        self.processes: list[Process] = []
        self.runs: list[str] = []
        self.seen: dict[str, RunState] = {}
        self.attempts: dict[str, int] = {}
        self.letters: set[str] = set()
        self.writes_left: int | None = None
        self.held_by_host: list[Lease] = []

    @initialize()
    def open(self) -> None:
        self.store = Store(Path(self.folder.name) / "store")
        self.store.root.mkdir()
        self.observer = Observer(self.store)
        self.host: Host | None = None
        self.patch.setattr(clock, "boot_s", lambda: self.boot)
        self.patch.setattr(clock, "wall_s", lambda: self.wall)
        self.patch.setattr(host, "oom_kills", lambda: self.kills)
        self.patch.setattr(host, "kill_holder", self._kill_holder)
        WatchedJournal.machine = WatchedLease.machine = self
        self.patch.setattr(host, "Journal", WatchedJournal)
        self.patch.setattr(host, "Lease", WatchedLease)
        self.patch.setattr(host.os, "getpid", lambda: self.host_pid)
        self.patch.setattr("tunesmith.jobs.snapshot.lease.holder", self._holder)
        # Power does not fail in here, and thousands of steps are to take seconds.
        self.patch.setattr("tunesmith.jobs.journal.os.fsync", lambda _: None)

    def _holder(self, path: Path) -> int | None:
        if path == self.store.host_lease:
            return None if self.host is None else self.host_pid
        return lease.look(path).pid

    def _kill_holder(self, path: Path) -> bool:
        for process in self.processes:
            if process.job is not None and process.code is None and process.job.paths.lease == path:
                process.end(-9)
                return True
        return False

    def _attempt(self, run: str) -> int:
        return max(1, self.observer.look(run).ledger.attempt)

    def _alive(self, started: bool) -> list[Process]:
        return [one for one in self.processes if one.code is None and one.started is started]

    # -- callers ---------------------------------------------------------------
    @precondition(lambda self: len(self.runs) < 3)
    @rule()
    def submit(self) -> None:
        run = new_handle(Work.TRAIN)
        submission.create(self.store, run, FakeRequest(behaviour="none"))
        self.runs.append(run)

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), grace_s=st.sampled_from([0.0, 60.0]))
    def stop(self, data, grace_s) -> None:
        run = data.draw(st.sampled_from(self.runs))
        if self.observer.look(run).state.is_active:
            request_stop(self.store.handle(run), self._attempt(run), grace_s)
            Queue(self.store).add(run)

    @precondition(lambda self: self.runs)
    @rule(data=st.data())
    def resume(self, data) -> None:
        run = data.draw(st.sampled_from(self.runs))
        snapshot = self.observer.look(run)
        if not snapshot.state.is_active and snapshot.state is not SUCCEEDED:
            submission.requeue(
                self.store, run, submission.next_attempt(snapshot.paths, snapshot.ledger.attempt)
            )

    # -- the host --------------------------------------------------------------
    @rule()
    def host_steps(self) -> None:
        if self.host is None:
            self.host_pid += 1
            self.host = Host(self.store, lambda *_: None, (), devices=[Device(CPU, 2, 2**40)])
            self.host._observer, self.host._queue = Observer(self.store), Queue(self.store)
            self.host._devices, self.host._forkserver = self.host.devices, Forks(self)
        self.host._step()

    @rule()
    def host_is_killed(self) -> None:
        self.host = None

    @rule(writes=st.integers(0, 3))
    def host_is_killed_in_the_midst_of_a_step(self, writes) -> None:
        self.writes_left, self.held_by_host = writes, []
        try:
            self.host_steps()
        except HostKilled:
            for held in self.held_by_host:
                if lease.look(held.path).liveness is lease.Liveness.ALIVE:  # else it was given up before
                    held.release()
            self.host = None
        self.writes_left = None

    def before_a_write(self) -> None:
        if self.writes_left == 0:
            raise HostKilled
        if self.writes_left is not None:
            self.writes_left -= 1

    # -- jobs ------------------------------------------------------------------
    @precondition(lambda self: self._alive(started=False))
    @rule(data=st.data())
    def job_begins(self, data) -> None:
        data.draw(st.sampled_from(self._alive(started=False))).begin()

    @precondition(lambda self: any(one.job is None for one in self._alive(started=False)))
    @rule(data=st.data())
    def job_gets_as_far_as_its_lease(self, data) -> None:
        data.draw(
            st.sampled_from([one for one in self._alive(started=False) if one.job is None])
        ).take_lease()

    @precondition(lambda self: self._alive(started=True))
    @rule(data=st.data(), number=st.integers(1, 100), does=st.sampled_from(["step", "commit"]))
    def job_gets_on(self, data, number, does) -> None:
        getattr(data.draw(st.sampled_from(self._alive(started=True))), does)(number)

    @precondition(lambda self: self._alive(started=True))
    @rule(data=st.data(), state=st.sampled_from([SUCCEEDED, FAILED, STOPPED]))
    def job_finishes(self, data, state) -> None:
        data.draw(st.sampled_from(self._alive(started=True))).finish(state)

    @precondition(lambda self: self._alive(started=True) or self._alive(started=False))
    @rule(data=st.data(), for_memory=st.booleans())
    def job_is_killed(self, data, for_memory) -> None:
        self.kills += for_memory
        data.draw(st.sampled_from(self._alive(started=True) + self._alive(started=False))).end(-9)

    @precondition(lambda self: self.processes)
    @rule(data=st.data())
    def a_given_up_attempt_writes_late(self, data) -> None:
        old = [one for one in self.processes if one.attempt < self._attempt(one.handle)]
        if old:
            data.draw(st.sampled_from(old)).write_late()

    # -- the world -------------------------------------------------------------
    @rule(seconds=st.sampled_from([0.1, 5.0, 40.0, 100.0]))
    def time_passes(self, seconds) -> None:
        self.boot += seconds
        self.wall += seconds

    @rule(years=st.sampled_from([-1, 1]))
    def the_wall_clock_jumps(self, years) -> None:
        self.wall += years * YEAR_S

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), torn=st.sampled_from([b'{"event": "fin', b"\0\0\0", b"\n[]\n"]))
    def a_journal_gets_a_torn_line(self, data, torn) -> None:
        with self.store.handle(data.draw(st.sampled_from(self.runs))).journal.open("ab") as file:
            file.write(torn)

    # -- what always holds -----------------------------------------------------
    @invariant()
    def every_change_of_state_has_a_letter_and_who_works_alone_is_seen_to_work(self) -> None:
        self.look()
        at_work = [one.handle for one in self._alive(started=True)]
        assert len(at_work) == len(set(at_work))
        assert all(self.seen[run] in (R, P) for run in at_work)

    def look(self) -> None:
        """As anybody does at any moment."""
        for run in self.runs:
            snapshot = self.observer.look(run)
            before, state = self.seen.get(run, Q), snapshot.state
            if state is not before:
                assert (before, state) in LETTERS, f"{before.value} -> {state.value}"
                self.letters.add(LETTERS[before, state])
            assert snapshot.ledger.attempt >= self.attempts.get(run, 0)
            self.seen[run], self.attempts[run] = state, snapshot.ledger.attempt

    def teardown(self) -> None:
        for process in self.processes:
            process.end(-9)
        self.patch.undo()
        self.folder.cleanup()
        SEEN.update(self.letters)


SEEN: set[str] = set()


def explore(examples: int) -> set[str]:
    """Examples of 50 steps each; the letters that were met."""
    SEEN.clear()
    Interleavings.TestCase.settings = settings(
        max_examples=examples, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
    )
    Interleavings.TestCase("runTest").runTest()
    return SEEN


@pytest.mark.row("R23")
def test_no_interleaving_changes_a_state_in_a_way_that_has_no_letter():
    explore(200)


@pytest.mark.row("R23")
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_fifty_thousand_steps_meet_every_letter_and_no_other_change():
    assert explore(1000) == set(LETTERS.values())

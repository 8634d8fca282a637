"""One store whose job, host and servers are killed at chosen moments, while somebody wants runs of it."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tests.support.chaos_promises import History, Kill, Violations, duplicated_runs, judge
from tests.support.chaos_watch import Watch
from tunesmith.jobs import clock, lease
from tunesmith.jobs.files import read_document
from tunesmith.jobs.journal import Event, JournalReader, read_events
from tunesmith.jobs.paths import HandlePaths, Store
from tunesmith.schemas.enums import Work
from tunesmith.training.checkpoints import Beginning

KINDS = ("job", "host", "server")
PATIENCE_S = 100.0
"""More than any run may stand still: a host that dies between claiming and starting costs 30 s, and a warm-up more."""
_GLANCE_S = 0.0005

_MOMENTS: dict[str, dict[str, int]] = {
    "job": {"any time": 8, "a checkpoint": 4, "a commit": 6, "a start": 2},
    "host": {"any time": 14, "a checkpoint": 5, "a commit": 5, "a claim": 2},
    "server": {"any time": 8, "a submission": 7, "a resume": 5},
}
"""When to kill, and how often so. "any time" is a share of the time that a run takes."""


@dataclass(frozen=True)
class Planned:
    """A kill that is to come. `share`: when within the time of a run, where the moment is any."""

    kind: str
    moment: str
    share: float


def plan_kills(kills: int, draw: random.Random) -> list[Planned]:
    """As many kills of each kind, in an order and at moments that the seed decides."""
    kinds = [KINDS[number % len(KINDS)] for number in range(kills)]
    draw.shuffle(kinds)
    planned = []
    while kinds:
        kind = kinds.pop()
        (moment,) = draw.choices(list(_MOMENTS[kind]), list(_MOMENTS[kind].values()))
        if moment == "a resume":
            if "job" not in kinds:
                moment = "any time"
            else:  # there has to be something to resume
                kinds.remove("job")
                planned.append(Planned("job", "any time", draw.random()))
        planned.append(Planned(kind, moment, draw.random()))
    return planned


class Service(Protocol):
    """Whoever wants runs of a store, and starts servers that make them."""

    run_s: float
    """About how long a run takes."""
    tells_each_step: bool

    def tend(self) -> None:
        """Start what was killed again. Raises when something ended that nobody has killed."""

    def kill_server(self, draw: random.Random) -> bool:
        """SIGKILL a server; False when there is none."""

    def finish(self) -> None:
        """Want no more runs; returns once each that was asked for has an end."""

    def close(self) -> None:
        """End the servers that are left."""

    def wanted(self) -> set[str]:
        """The handles of the runs that were asked for."""

    def history(self, paths: HandlePaths) -> tuple[int, bool]:
        """How many steps a run was to make, and whether its adapter is that of an undisturbed run."""


@dataclass
class Lane:
    """Carries out the kills that are planned for one store. Run `work` in a thread."""

    store: Store
    service: Service
    plan: Sequence[Planned]
    draw: random.Random
    kills: list[Kill] = field(default_factory=list)
    runs: list[History] = field(default_factory=list)
    violations: Violations = field(default_factory=Violations)
    watch: Watch = field(init=False)
    failure: BaseException | None = None
    _readers: dict[str, JournalReader] = field(default_factory=dict)
    _committed: dict[str, int] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)
    _unfinished: set[str] = field(default_factory=set)
    _before_the_job_died: int = 0

    def __post_init__(self) -> None:
        self.watch = Watch(self.store)

    def work(self) -> None:
        """Kill, see every run to its end, judge."""
        self.watch.start()
        try:
            self.service.tend()
            for planned in self.plan:
                self._await(planned)
                self._strike(planned)
                self.service.tend()
            self.service.finish()
        except Exception as failure:  # noqa: BLE001 - of a thread: told by whoever has started it
            self.failure = failure
        finally:
            self.watch.leave()
        self._judge()

    def start(self) -> threading.Thread:
        thread = threading.Thread(target=self.work, name=str(self.store.root), daemon=True)
        thread.start()
        return thread

    def _await(self, planned: Planned) -> None:
        """Return at the moment of a planned kill."""
        if planned.moment == "any time":
            time.sleep(planned.share * self.service.run_s)
            return
        if planned.moment == "a resume":
            before = self._before_the_job_died
        else:
            before = 0 if planned.moment == "a commit" else self._count(planned.moment)
        self._until(lambda: self._count(planned.moment) > before, planned.moment)

    def _strike(self, planned: Planned) -> None:
        strikes: dict[str, Callable[[], bool]] = {
            "job": self._kill_job,
            "host": lambda: lease.kill_holder(self.store.host_lease),
            "server": lambda: self.service.kill_server(self.draw),
        }
        told: list[Kill] = []

        def strike() -> bool:
            self._read_journals()
            in_commit = self._count("a commit") > 0
            told[:] = [Kill(planned.kind, clock.boot_s(), dict(self._committed), in_commit)]
            return strikes[planned.kind]()

        self._until(strike, f"a {planned.kind} to kill")
        self.kills += told

    def _kill_job(self) -> bool:
        self._before_the_job_died = self._count("a resume")
        return any(lease.kill_holder(self.store.handle(handle).lease) for handle in list(self._unfinished))

    def _until(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        tended = time.monotonic()
        while not holds():
            time.sleep(_GLANCE_S)
            if time.monotonic() > tended + 0.5:
                self.service.tend()
                tended = time.monotonic()
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {PATIENCE_S:.0f} s for {what}: {self._standing()}")

    def _count(self, moment: str) -> int:
        """How often it was such a moment so far; of a commit, how many are being made just now."""
        if moment == "a submission":
            runs = self.store.folder_of(Work.TRAIN)
            return sum(1 for _ in runs.iterdir()) if runs.is_dir() else 0
        self._read_journals()
        folders = [self.store.handle(handle) for handle in self._unfinished]
        if moment == "a commit":
            return sum(1 for paths in folders for _ in paths.scratch.glob("*/checkpoint-*"))
        if moment == "a resume":  # or the end of a run: it was killed too late to be resumed
            everything = [self.store.handle(handle).folder for handle in self._readers]
            asked = sum(1 for folder in everything for _ in folder.glob("attempt-*"))
            return asked + self._counts.get("finished", 0)
        if moment == "a start":
            return (
                self._counts.get("claimed", 0) if any(lease.holder(paths.lease) for paths in folders) else 0
            )
        return self._counts.get({"a checkpoint": "checkpoint", "a claim": "claimed"}[moment], 0)

    def _read_journals(self) -> None:
        for handle in self.store.handles(Work.TRAIN):
            if handle not in self._readers:
                self._readers[handle] = JournalReader(self.store.handle(handle).journal)
                self._unfinished.add(handle)
        for handle in list(self._unfinished):
            for event in self._readers[handle].new_events():
                self._counts[event["event"]] = self._counts.get(event["event"], 0) + 1
                if event["event"] == "checkpoint":
                    self._committed[handle] = max(event["step"], self._committed.get(handle, 0))
                elif event["event"] == "finished":
                    self._unfinished.discard(handle)

    def _standing(self) -> str:
        return ", ".join(
            f"{handle} is {seen[-1].state} in attempt {seen[-1].attempt}"
            for handle, seen in list(self.watch.sights.items())
            if handle in self._unfinished and seen
        )

    def _judge(self) -> None:
        there = self.store.handles(Work.TRAIN)
        self.violations.duplicated += duplicated_runs(self.service.wanted(), there)
        self.violations.duplicated += self.watch.twice_at_once
        if self.failure is not None:
            self.violations.misreported.append(f"{type(self.failure).__name__}: {self.failure}")
        for handle in there:
            paths = self.store.handle(handle)
            events = read_events(paths.journal)
            total_steps, exact = self.service.history(paths)
            from_steps = _from_steps(paths, events)
            sights = self.watch.sights[handle]
            history = History(
                handle, total_steps, events, from_steps, exact, sights, self.service.tells_each_step
            )
            self.runs.append(history)
            self.violations.add(judge(history, self.kills))


def _from_steps(paths: HandlePaths, events: list[Event]) -> dict[int, int]:
    found = {}
    for attempt in {event["attempt"] for event in events}:
        beginning = read_document(paths.attempt(attempt), Beginning)
        if beginning is not None:
            found[attempt] = beginning.from_step
    return found

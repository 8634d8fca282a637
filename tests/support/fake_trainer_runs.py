"""Runs of the fake trainer, and what must hold of each of them whatever happens to it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

from tests.support.fake_trainer import WEIGHTS, FakeTraining, adapter_of, train
from tests.support.tracing import REPOSITORY
from tunesmith.jobs import submission
from tunesmith.jobs.context import JobContext
from tunesmith.jobs.journal import Journal, read_events
from tunesmith.jobs.paths import HandlePaths, Store
from tunesmith.jobs.snapshot import Observer, Snapshot
from tunesmith.schemas.enums import Work
from tunesmith.schemas.handles import new_handle
from tunesmith.training.checkpoints import latest_committed

MODULE = "tests.support.fake_trainer"


@dataclass(frozen=True)
class FakeRun:
    """One run, attempted in the foreground."""

    store: Store
    handle: str
    request: FakeTraining

    @classmethod
    def submit(cls, store: Store, request: FakeTraining) -> FakeRun:
        """Create and queue a run; no host is started."""
        handle = new_handle(Work.TRAIN)
        submission.create(store, handle, request)
        return cls(store, handle, request)

    @property
    def paths(self) -> HandlePaths:
        return self.store.handle(self.handle)

    def arguments(self, attempt: int = 1) -> tuple[str, str, str]:
        """What the trainer's module is called with."""
        return str(self.store.root), self.handle, str(attempt)

    def attempt(self, attempt: int = 1) -> int:
        """Make an attempt in a process of its own; its exit status."""
        command = [sys.executable, "-m", MODULE, *self.arguments(attempt)]
        return subprocess.run(command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, timeout=60).returncode

    def ask_again(self) -> int:
        """Ask for one more attempt, as start_training does to resume; its number."""
        attempt = self.look().ledger.attempt + 1
        submission.requeue(self.store, self.handle, attempt)
        return attempt

    def resume_here(self) -> None:
        """Make one more attempt, within this process."""
        train(JobContext(self.store, self.paths, Journal(self.paths.journal, self.ask_again())))

    def look(self) -> Snapshot:
        return Observer(self.store).look(self.handle)

    def journalled_step(self) -> int:
        """The newest step that the journal calls committed."""
        events = read_events(self.paths.journal)
        return max((event["step"] for event in events if event["event"] == "checkpoint"), default=0)

    def committed_step(self) -> int:
        """The step that a resumed attempt would go on from; its files are as they were committed."""
        newest = latest_committed(self.paths)
        return 0 if newest is None else newest.step

    def adapter_is_exact(self) -> bool:
        """Whether the adapter is that of a run which nothing has disturbed."""
        file = self.paths.adapter / WEIGHTS
        return file.is_file() and file.read_bytes() == adapter_of(self.request)

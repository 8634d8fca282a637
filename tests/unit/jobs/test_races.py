"""Looks and requests that are several reads or writes, with something else between two of them."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict

import pytest

from tests.support.fake_trainer import FakeTraining
from tests.support.fake_trainer_runs import MODULE, FakeRun
from tests.support.tracing import REPOSITORY
from tests.support.waiting import wait_until
from tunesmith.jobs import lease, submission
from tunesmith.jobs.files import read_document
from tunesmith.jobs.journal import Journal, read_events
from tunesmith.jobs.paths import Store
from tunesmith.jobs.snapshot import Observer
from tunesmith.schemas.enums import RunState
from tunesmith.training.checkpoints import Beginning


@pytest.mark.row("R21")
def test_a_process_that_begins_between_two_reads_of_a_look_is_not_called_interrupted(tmp_path, monkeypatch):
    run = FakeRun.submit(Store(tmp_path / "store"), FakeTraining(total_steps=2000, save_steps=5, step_s=0.02))
    run.paths.lease.touch()  # as from the second attempt on
    jobs: list[subprocess.Popen[bytes]] = []
    look = lease.look

    def begin_afterwards(path):
        told = look(path)
        if path == run.paths.lease and not jobs:
            command = [sys.executable, "-m", MODULE, *run.arguments()]
            jobs.append(subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.DEVNULL))
            wait_until(lambda: any(e["event"] == "started" for e in read_events(run.paths.journal)))
        return told

    monkeypatch.setattr(lease, "look", begin_afterwards)
    try:
        assert run.look().state is RunState.RUNNING
    finally:
        jobs[0].kill()
        jobs[0].wait()
    assert run.look().state is RunState.INTERRUPTED


@pytest.mark.row("R14", "R15")
def test_asking_late_for_an_attempt_that_has_begun_leaves_its_fence(tmp_path):
    run = FakeRun.submit(Store(tmp_path / "store"), FakeTraining(total_steps=10, save_steps=5))
    submission.requeue(run.store, run.handle, 2)
    run.attempt(2)
    fence = read_document(run.paths.attempt(2), Beginning)

    submission.requeue(run.store, run.handle, 2)  # as a second server does that has looked before it began

    assert fence == read_document(run.paths.attempt(2), Beginning) == Beginning(from_step=0)


@pytest.mark.row("R14")
def test_what_was_seen_stays_as_it_was_seen_while_others_look(tmp_path):
    run = FakeRun.submit(Store(tmp_path / "store"), FakeTraining(total_steps=10, save_steps=5))
    observer = Observer(run.store)
    Journal(run.paths.journal, 1).append("finished", state="stopped", error=None)
    seen = observer.look(run.handle)
    was = asdict(seen.ledger)

    # As another thread of the same server does that resumes the run too: it must not be asked for a third attempt.
    submission.requeue(run.store, run.handle, 2)
    journal = Journal(run.paths.journal, 2)
    journal.append("progress", step=1, loss=2.0)
    journal.append("evaluated", step=1, eval_loss=2.0, accuracy=0.5)
    journal.append("finding", code="x", severity="info", message="-", recovery="-")
    assert observer.look(run.handle).ledger.attempt == 2

    assert asdict(seen.ledger) == was
    assert submission.next_attempt(run.paths, seen.ledger.attempt) == 2

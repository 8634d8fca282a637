"""Nothing that an attempt writes counts once a newer one was asked for; nothing acts on what is not known."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.support.fake_trainer import FakeTraining
from tests.support.fake_trainer_runs import MODULE, FakeRun
from tests.support.tracing import REPOSITORY
from tests.support.waiting import wait_until
from tunesmith.jobs.journal import Journal
from tunesmith.jobs.lease import Lease, holder
from tunesmith.jobs.process import EXIT_LEASE_TAKEN, EXIT_SUPERSEDED
from tunesmith.jobs.stopping import request_stop
from tunesmith.schemas.enums import RunState
from tunesmith.training import checkpoints


def begin(run, attempt):
    command = [sys.executable, "-m", MODULE, *run.arguments(attempt)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.DEVNULL)


def make_checkpoint(folder, step):
    folder.mkdir(parents=True)
    (folder / "state.json").write_text(json.dumps({"step": step}))
    return folder


@pytest.mark.row("R15")
@pytest.mark.parametrize("fault", ["lease file removed", "lease file replaced"])
def test_an_attempt_that_was_frozen_while_the_next_one_finished_changes_nothing(fault, store):
    run = FakeRun.submit(store, FakeTraining(total_steps=60, save_steps=5, step_s=0.02))
    stale = begin(run, 1)
    wait_until(lambda: run.journalled_step() >= 10)
    os.kill(stale.pid, signal.SIGSTOP)
    assert run.look().state is RunState.RUNNING, "it may wake up again"
    run.paths.lease.unlink()
    if fault == "lease file replaced":
        run.paths.lease.touch()
    attempt = run.ask_again()
    request_stop(run.paths, attempt, 60.0)  # it makes one step: the stale one would have more to say
    assert run.attempt(attempt) == 0
    before = (run.look().state, run.committed_step(), run.look().ledger.progress["step"])

    os.kill(stale.pid, signal.SIGCONT)

    assert stale.wait(30) == EXIT_SUPERSEDED
    assert (run.look().state, run.committed_step(), run.look().ledger.progress["step"]) == before
    assert before[0] is RunState.STOPPED
    assert run.attempt(run.ask_again()) == 0
    assert run.look().state is RunState.SUCCEEDED
    assert run.adapter_is_exact()


@pytest.mark.row("R15")
def test_a_checkpoint_that_an_old_attempt_commits_late_is_never_chosen(store):
    run = FakeRun.submit(store, FakeTraining(total_steps=60, save_steps=5))
    paths = run.paths
    checkpoints.commit(make_checkpoint(paths.scratch / "a", 10), paths, 10, attempt=1)
    run.ask_again()  # the first
    attempt = run.ask_again()
    begun = checkpoints.begin(paths, attempt, paths.scratch, None)
    assert begun is not None and begun.step == 10

    checkpoints.commit(make_checkpoint(paths.scratch / "b", 30), paths, 30, attempt=1)

    assert run.committed_step() == 10
    checkpoints.commit(make_checkpoint(paths.scratch / "c", 15), paths, 15, attempt)
    assert run.committed_step() == 15
    mine = make_checkpoint(paths.scratch / "d", 30)
    (mine / "mine").touch()
    committed = checkpoints.commit(mine, paths, 30, attempt)
    assert (run.committed_step(), (committed.folder / "mine").exists()) == (30, True)


@pytest.mark.row("R15")
def test_an_attempt_that_is_not_the_newest_does_not_even_begin(store):
    run = FakeRun.submit(store, FakeTraining(total_steps=5, save_steps=5))
    run.ask_again()  # the first
    second = run.ask_again()
    assert run.attempt(second - 1) == EXIT_SUPERSEDED
    assert run.look().state is RunState.QUEUED


@pytest.mark.row("R14")
def test_of_two_processes_of_one_attempt_the_second_leaves_without_a_word(store):
    run = FakeRun.submit(store, FakeTraining(total_steps=40, save_steps=5, step_s=0.02))
    first = begin(run, 1)
    wait_until(lambda: holder(run.paths.lease))
    assert run.attempt(1) == EXIT_LEASE_TAKEN
    assert run.look().state is RunState.RUNNING
    assert first.wait(30) == 0
    assert run.adapter_is_exact()


def test_a_lease_knows_when_its_file_is_no_longer_the_one_that_others_see(tmp_path):
    lease = Lease.acquire(tmp_path / "lease")
    assert lease is not None and lease.is_held()
    (tmp_path / "lease").unlink()
    assert not lease.is_held()
    (tmp_path / "lease").touch()
    assert not lease.is_held()
    lease.release()


def test_a_run_of_unknown_liveness_is_shown_as_going_on_until_a_person_says_that_it_is_dead(store):
    run = FakeRun.submit(store, FakeTraining(total_steps=5, save_steps=5))
    journal = Journal(run.paths.journal, 1)
    journal.append("claimed", host_pid=1)
    journal.append("started", pid=1)
    (run.paths.lease).mkdir()  # it can be neither opened nor locked
    seen = run.look()
    assert seen.state is RunState.RUNNING
    assert "lease cannot be opened" in seen.doubt

    journal.append("declared_dead")

    seen = run.look()
    assert (seen.state, seen.doubt) == (RunState.INTERRUPTED, "")

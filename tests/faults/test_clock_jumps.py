"""Clocks that jump by a year, and a machine that starts anew: nothing counts backwards and nothing changes places."""

from __future__ import annotations

import os
import subprocess
import sys

import anyio
import pytest

from tests.support.fake_trainer import FakeTraining
from tests.support.fake_trainer_runs import FakeRun
from tests.support.tracing import REPOSITORY
from tests.support.waiting import wait_until
from tunesmith.jobs import clock
from tunesmith.jobs.executor import LocalExecutor
from tunesmith.jobs.journal import Journal, read_events
from tunesmith.jobs.lease import holder
from tunesmith.jobs.queue import Queue
from tunesmith.jobs.snapshot import Observer
from tunesmith.schemas.enums import RunState
from tunesmith.tools.get_status import get_status
from tunesmith.tools.workspace import Workspace, report_to_nobody

YEAR_S = 365 * 24 * 3600.0
JUMPING = f"""
import itertools, time
from tunesmith.jobs import clock
jumps = itertools.cycle([0.0, {YEAR_S}, -{YEAR_S}])
clock.wall_s = lambda: time.time() + next(jumps)
"""
JUST_BOOTED = """
import time
from tunesmith.jobs import clock
began = time.monotonic()
clock.boot_s = lambda: time.monotonic() - began
"""
ENTRY = """
import sys
from tests.support.fake_trainer import run_fake_training
run_fake_training(sys.argv[1], sys.argv[2], int(sys.argv[3]))
"""


def attempt_with(clocks, run, attempt):
    """Begin an attempt in a process whose clocks are others."""
    command = [sys.executable, "-c", clocks + ENTRY, *run.arguments(attempt)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdin=subprocess.DEVNULL)


def status(run):
    workspace = Workspace(run.store, LocalExecutor(run.store), Observer(run.store), report_to_nobody)
    return anyio.run(get_status, workspace, run.handle)


def counts_forwards(seen, step):
    assert seen.step >= step
    assert 0 <= seen.progress <= 1
    assert seen.eta_s is None or seen.eta_s >= 0
    assert seen.elapsed_s is None or seen.elapsed_s >= 0
    return seen.step


@pytest.mark.row("R13")
@pytest.mark.parametrize("server_is_off_by_s", [0.0, YEAR_S, -YEAR_S])
def test_progress_and_remaining_time_only_count_forwards_while_the_wall_clock_jumps(
    store, monkeypatch, server_is_off_by_s
):
    now = clock.wall_s
    monkeypatch.setattr(clock, "wall_s", lambda: now() + server_is_off_by_s)
    run = FakeRun.submit(store, FakeTraining(total_steps=40, save_steps=10, step_s=0.01))
    process = attempt_with(JUMPING, run, 1)
    wait_until(lambda: run.look().ledger.progress)
    step = 0
    while process.poll() is None:
        step = counts_forwards(status(run), step)
    done = status(run)

    assert (done.state, counts_forwards(done, step)) == (RunState.SUCCEEDED, 40)
    assert run.adapter_is_exact()
    times = [event["t"] for event in read_events(run.paths.journal)]
    assert max(times) - min(times) > 1.9 * YEAR_S  # the clock did jump
    steps = [step for step, _ in run.look().ledger.losses]
    assert steps == sorted(set(steps))


@pytest.mark.row("R13")
@pytest.mark.parametrize("newest_is_off_by_s", [YEAR_S, -YEAR_S])
def test_the_newest_checkpoint_is_the_one_with_the_most_steps_whatever_its_files_times_say(
    store, newest_is_off_by_s
):
    run = FakeRun.submit(store, FakeTraining(total_steps=400, save_steps=2, step_s=0.01))
    process = attempt_with(JUMPING, run, 1)
    wait_until(lambda: run.journalled_step() >= 6)
    process.kill()
    process.wait(10)
    kept = sorted(run.paths.checkpoints.glob("step-*/manifest.json"))
    newest = run.committed_step()
    for file in [kept[-1], kept[-1].parent]:
        off = file.stat().st_mtime + newest_is_off_by_s
        os.utime(file, (off, off))

    assert run.committed_step() == newest >= run.journalled_step()
    request = run.request.model_copy(update={"total_steps": newest + 4})
    run.paths.request.write_text(request.model_dump_json())
    FakeRun(store, run.handle, request).resume_here()
    assert FakeRun(store, run.handle, request).adapter_is_exact()
    assert run.committed_step() == newest + 4


@pytest.mark.row("R13")
def test_an_attempt_after_a_reboot_counts_from_zero_and_nothing_becomes_negative(store, monkeypatch):
    assert clock.boot_s() > 100, "this machine has been up for too short a time to pretend a reboot"
    run = FakeRun.submit(store, FakeTraining(total_steps=60, save_steps=10, step_s=0.02))
    process = attempt_with("", run, 1)
    wait_until(lambda: run.journalled_step() >= 20)
    process.kill()
    process.wait(10)
    began = clock.boot_s()
    real = clock.boot_s
    monkeypatch.setattr(clock, "boot_s", lambda: real() - began)

    interrupted = status(run)
    assert interrupted.state is RunState.INTERRUPTED
    step = counts_forwards(interrupted, 20)
    process = attempt_with(JUST_BOOTED, run, run.ask_again())
    wait_until(lambda: run.look().ledger.attempt == 2 and run.look().state is RunState.RUNNING)
    while process.poll() is None:
        seen = status(run)
        counts_forwards(seen, 20)
        assert seen.elapsed_s is None or seen.elapsed_s < 60
    done = status(run)
    assert (done.state, counts_forwards(done, step)) == (RunState.SUCCEEDED, 60)
    assert run.adapter_is_exact()


@pytest.mark.row("R13")
def test_work_that_was_claimed_before_a_reboot_waits_again_and_is_not_starting_for_ever(store, monkeypatch):
    run = FakeRun.submit(store, FakeTraining(total_steps=1, save_steps=1))
    Journal(run.paths.journal, 1).append("claimed", durable=True, host_pid=2**22 + 1, device="cpu")
    assert run.look().state is RunState.STARTING
    monkeypatch.setattr(clock, "boot_s", lambda: 3.0)
    assert run.look().state is RunState.QUEUED


@pytest.mark.row("R13")
def test_who_came_first_is_served_first_whatever_the_files_times_say(hosted):
    runs = [FakeRun.submit(hosted.store, FakeTraining(total_steps=2, save_steps=1)) for _ in range(3)]
    for place, run in enumerate(runs):
        off = clock.wall_s() - place * YEAR_S
        os.utime(hosted.store.queued(run.handle), (off, off))
    assert Queue(hosted.store).handles() == [run.handle for run in runs]

    host = subprocess.Popen(
        [sys.executable, "-m", "tests.support.fake_trainer_host", str(hosted.store.root), "60"],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    hosted.hosts.append(host)
    for run in runs:
        wait_until(run.look, lambda seen: seen.state is RunState.SUCCEEDED)
    started = [run.look().ledger.started_boot_s for run in runs]
    assert started == sorted(started)
    assert holder(hosted.store.host_lease) == host.pid

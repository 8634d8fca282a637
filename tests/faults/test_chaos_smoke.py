"""A few kills by the harness of benchmarks/chaos.py; and that it would say so if a promise were broken."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from benchmarks.chaos import fake_lanes, unleash
from tests.support.chaos_promises import (
    History,
    Kill,
    Sight,
    Violations,
    duplicated_attempts,
    duplicated_runs,
    lost_steps,
    wrong_states,
)
from tunesmith.schemas.enums import RunState


@pytest.mark.row("R1", "R4", "R6", "R23")
def test_killing_jobs_hosts_and_servers_at_random_moments_breaks_no_promise():
    report = unleash(lambda folder: fake_lanes(folder, kills=8, seed=452, lanes=2))

    assert report.violations == Violations()
    assert set(report.kills()) == {"job", "host", "server"}
    assert report.kills().total() >= 8
    assert any(run.events[-1]["attempt"] > 1 for lane in report.lanes for run in lane.runs)


def event(name, attempt, boot, **fields):
    return {"event": name, "attempt": attempt, "boot": boot, "t": boot, **fields}


def begun(attempt, boot):
    return event("started", attempt, boot, pid=1)


def made(attempt, boot, *steps):
    return [event("progress", attempt, boot, step=step, total_steps=10) for step in steps]


FIRST = [begun(1, 1.0), *made(1, 2.0, 1, 2, 3, 4, 5), event("checkpoint", 1, 2.0, step=5), *made(1, 3.0, 6)]
SECOND = [event("requeued", 2, 5.0), begun(2, 6.0), *made(2, 7.0, 6, 7, 8, 9, 10), event("finished", 2, 8.0)]
KILL = Kill("job", 4.0, {"run-x": 5})
WHOLE = History("run-x", 10, [*FIRST, *SECOND], {2: 5}, adapter_is_exact=True)


def test_a_run_that_went_on_from_its_last_commit_has_lost_nothing():
    assert lost_steps(WHOLE, [KILL]) == []
    assert duplicated_attempts(WHOLE.events) == []


def test_an_attempt_that_goes_on_from_below_a_committed_step_is_a_lost_step():
    again = [begun(2, 6.0), *made(2, 7.0, 4, 5, 6, 7, 8, 9, 10)]
    told = " ".join(lost_steps(replace(WHOLE, events=[*FIRST, *again], from_steps={2: 3}), [KILL]))
    assert "attempt 2 went on from step 3, and step 5 was committed before a kill" in told
    assert "attempt 2 made step 4 again, and step 5 was committed" in told


def test_a_step_that_nobody_has_made_is_a_lost_step():
    hole = [begun(2, 6.0), *made(2, 7.0, 8, 9, 10)]
    told = lost_steps(replace(WHOLE, events=[*FIRST, *hole], from_steps={2: 7}), [KILL])
    assert told == ["nobody made the steps [7]"]
    leap = [begun(2, 6.0), *made(2, 7.0, 6, 7, 9, 10)]
    told = lost_steps(replace(WHOLE, events=[*FIRST, *leap]), [KILL])
    assert "attempt 2 made step 9 after step 7" in told


def test_an_attempt_that_has_forgotten_where_it_went_on_is_a_lost_fence():
    (told,) = lost_steps(replace(WHOLE, from_steps={}), [KILL])
    assert "attempt 2 does not say any more where it went on" in told


def test_an_adapter_that_differs_is_a_lost_step():
    (told,) = lost_steps(replace(WHOLE, adapter_is_exact=False), [KILL])
    assert "adapter" in told


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([begun(1, 1.0), begun(1, 2.0)], "attempt 1 began 2 times"),
        ([begun(1, 1.0), event("finished", 1, 2.0), event("finished", 1, 3.0)], "attempt 1 ended 2 times"),
        ([begun(1, 1.0), begun(3, 2.0)], "its attempts are numbered [1, 3]"),
    ],
)
def test_an_attempt_made_twice_or_left_out_is_a_duplicate(events, told):
    assert duplicated_attempts(events) == [told]


def test_a_second_folder_for_a_key_is_a_duplicate():
    assert duplicated_runs({"run-a"}, {"run-a"}) == []
    assert duplicated_runs({"run-a"}, {"run-a", "run-b"}) == ["run-b: nobody asked for this run"]
    assert duplicated_runs({"run-a"}, set()) == ["run-a: it was asked for and is not there"]


def seen(*states, **more):
    return [Sight(state, 1, 5, 5, **more) for state in states]


DONE = Sight(RunState.SUCCEEDED, 2, 10, 10)


@pytest.mark.parametrize(
    ("sights", "told"),
    [
        (
            [*seen(RunState.INTERRUPTED, RunState.RUNNING), DONE],
            "within attempt 1, interrupted became running",
        ),
        (
            [*seen(RunState.RUNNING, RunState.STARTING), DONE],
            "within attempt 1, running became starting",
        ),
        ([*seen(RunState.SUCCEEDED), DONE], "it had succeeded, and attempt 2 began"),
        ([*seen(RunState.FAILED), DONE], "attempt 1 is called failed, and was only killed"),
        (
            [*seen(RunState.RUNNING, gone_s=2.5), DONE],
            "attempt 1 is called running 2.5 s after its process ended",
        ),
        (
            [*seen(RunState.INTERRUPTED, lives_on=True), DONE],
            "attempt 1 is called interrupted while its process lives",
        ),
        (
            [Sight(RunState.RUNNING, 1, 6, 0), Sight(RunState.RUNNING, 1, 5, 0), DONE],
            "within attempt 1, the step went back",
        ),
        (
            [Sight(RunState.RUNNING, 1, 6, 5), Sight(RunState.RUNNING, 1, 6, 0), DONE],
            "the committed step went back from 5 to 0",
        ),
        ([Sight(RunState.RUNNING, 1, 4, 5), DONE], "step 5 is committed and only step 4 is made"),
        ([DONE, Sight(RunState.RUNNING, 1, 10, 10), DONE], "attempt 2 became attempt 1"),
        (seen(RunState.QUEUED), "in the end it is called queued"),
    ],
)
def test_what_cannot_have_been_so_is_a_wrong_state(sights, told):
    assert told in wrong_states(sights)


def test_states_in_their_order_are_right():
    first = seen(RunState.QUEUED, RunState.STARTING, RunState.QUEUED, RunState.RUNNING, RunState.INTERRUPTED)
    back = [Sight(RunState.RUNNING, 2, 9, 5), Sight(RunState.RUNNING, 2, 7, 5)]
    assert wrong_states([*first, Sight(RunState.QUEUED, 2, 9, 5), *back, DONE]) == []


def test_a_process_and_a_descriptor_that_stay_are_told():
    """They are left by whoever makes the lanes, here of no store at all."""
    left = []

    def leave_something(folder):
        left.append(os.open(os.devnull, os.O_RDONLY))
        command = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)", str(folder)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        process.stdout.readline()  # before that its arguments may not be seen yet
        process.stdout.close()
        left.append(process)
        return []

    report = unleash(leave_something, grace_s=0.5)
    descriptor, process = left
    os.close(descriptor)
    process.kill()
    process.wait()
    told = "\n".join(report.violations.left_behind)
    assert f"a process: {process.pid}" in told
    assert f"a descriptor: {descriptor} /dev/null" in told

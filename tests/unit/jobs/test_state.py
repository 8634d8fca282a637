"""The state of a run is a pure function of its journal and of who holds its lease."""

from __future__ import annotations

import pytest

from tunesmith.jobs.lease import Liveness
from tunesmith.jobs.state import START_GRACE_S, Ledger, Surroundings, derive_state, interruption
from tunesmith.schemas.enums import RunState

CLAIMED = {"event": "claimed", "attempt": 1, "host_pid": 5, "boot": 100.0}
FORCED = {"event": "stop_forced", "attempt": 1}
STARTED = {"event": "started", "attempt": 1, "pid": 6, "boot": 101.0}


def finished(state, attempt=1):
    return {"event": "finished", "attempt": attempt, "state": state, "error": None}


def exited(code, attempt=1):
    return {"event": "exited", "attempt": attempt, "returncode": code}


def state_of(
    *events, liveness=Liveness.DEAD, was_begun=False, host_pid=None, stop_requested=False, boot_s=102.0
):
    ledger = Ledger()
    for event in events:
        ledger.add(event)
    return derive_state(ledger, Surroundings(liveness, was_begun, host_pid, stop_requested, boot_s))


@pytest.mark.parametrize(
    ("events", "around", "state"),
    [
        ([], {}, RunState.QUEUED),
        ([], {"was_begun": True}, RunState.INTERRUPTED),  # the journal is lost
        ([CLAIMED], {"host_pid": 5}, RunState.STARTING),
        ([CLAIMED], {"host_pid": 5, "boot_s": 1e6}, RunState.STARTING),
        ([CLAIMED], {"host_pid": None}, RunState.STARTING),
        ([CLAIMED], {"host_pid": None, "boot_s": 100 + START_GRACE_S + 1}, RunState.QUEUED),
        ([CLAIMED], {"host_pid": 9, "boot_s": 100 + START_GRACE_S + 1}, RunState.QUEUED),
        ([CLAIMED], {"boot_s": 3.0}, RunState.QUEUED),  # the machine has started anew
        ([{**CLAIMED, "host_pid": None}], {"boot_s": 100 + START_GRACE_S + 1}, RunState.INTERRUPTED),
        ([CLAIMED], {"liveness": Liveness.UNKNOWN}, RunState.STARTING),
        ([CLAIMED, STARTED], {"liveness": Liveness.UNKNOWN}, RunState.RUNNING),
        ([CLAIMED, STARTED], {"liveness": Liveness.UNKNOWN, "stop_requested": True}, RunState.STOPPING),
        ([CLAIMED, STARTED, {**exited(-9), "oom_kills": 1}], {}, RunState.FAILED),
        ([CLAIMED, STARTED, FORCED], {"liveness": Liveness.ALIVE, "stop_requested": True}, RunState.STOPPING),
        ([CLAIMED, STARTED, FORCED], {}, RunState.STOPPED),
        ([CLAIMED, STARTED, FORCED, finished("succeeded")], {}, RunState.SUCCEEDED),
        ([CLAIMED, STARTED, {**exited(-9), "oom_kills": 0}], {}, RunState.INTERRUPTED),
        ([CLAIMED, exited(-9)], {"host_pid": 5}, RunState.INTERRUPTED),
        ([CLAIMED], {"liveness": Liveness.ALIVE}, RunState.STARTING),
        ([CLAIMED, STARTED], {"liveness": Liveness.ALIVE}, RunState.RUNNING),
        ([CLAIMED, STARTED], {"liveness": Liveness.ALIVE, "stop_requested": True}, RunState.STOPPING),
        ([CLAIMED, STARTED], {}, RunState.INTERRUPTED),
        ([CLAIMED, STARTED, finished("succeeded")], {"liveness": Liveness.ALIVE}, RunState.SUCCEEDED),
        ([CLAIMED, STARTED, finished("failed"), exited(1)], {}, RunState.FAILED),
        ([CLAIMED, STARTED, finished("stopped")], {}, RunState.STOPPED),
    ],
)
def test_each_combination_has_one_state(events, around, state):
    assert state_of(*events, **around) is state


def test_a_terminal_event_is_final_whatever_arrives_later():
    late = [exited(-9), finished("failed"), {"event": "progress", "attempt": 1, "step": 9, "total_steps": 10}]
    assert state_of(CLAIMED, STARTED, finished("succeeded"), *late) is RunState.SUCCEEDED


def test_a_resumed_run_is_queued_and_keeps_its_figures():
    ledger = Ledger()
    for event in (
        CLAIMED,
        STARTED,
        {"event": "progress", "attempt": 1, "step": 4, "total_steps": 9, "loss": 2.0},
    ):
        ledger.add(event)
    ledger.add({"event": "checkpoint", "attempt": 1, "step": 4})
    ledger.add({"event": "requeued", "attempt": 2})
    assert derive_state(ledger, Surroundings(Liveness.DEAD, False, None, False, 0.0)) is RunState.QUEUED
    assert (ledger.progress["step"], ledger.checkpoint_step) == (4, 4)


def test_events_of_a_stale_attempt_change_nothing():
    resumed = {"event": "requeued", "attempt": 2}
    assert state_of(CLAIMED, STARTED, resumed, finished("succeeded", attempt=1)) is RunState.QUEUED


def test_repeated_steps_of_a_resumed_run_replace_the_older_losses():
    ledger = Ledger()
    for step in (1, 2, 3):
        ledger.add({"event": "progress", "attempt": 1, "step": step, "total_steps": 3, "loss": float(step)})
    ledger.add({"event": "requeued", "attempt": 2})
    ledger.add({"event": "progress", "attempt": 2, "step": 2, "total_steps": 3, "loss": 9.0})
    assert ledger.losses == [(1, 1.0), (2, 9.0)]


def test_an_interruption_names_the_signal_the_last_commit_and_the_call_that_resumes():
    ledger = Ledger()
    for event in (CLAIMED, STARTED, {"event": "checkpoint", "attempt": 1, "step": 20}, exited(-9)):
        ledger.add(event)
    report = interruption(ledger, "run-x", resumable=True)
    assert "signal 9 (SIGKILL)" in report.message
    assert "step 20" in report.message
    assert 'resume_run_id="run-x"' in report.recovery

"""Lines that are JSON, and still no events of ours."""

from __future__ import annotations

import pytest

from tunesmith.jobs.event_shapes import is_well_formed

OURS = [
    {"event": "requeued", "attempt": 2, "t": 1.0, "boot": 2.0},
    {"event": "claimed", "attempt": 1, "t": 1.0, "boot": 2.0, "host_pid": None, "device": "0"},
    {"event": "started", "attempt": 1, "pid": 5, "birth": "77", "node": "here", "boot_id": ""},
    {"event": "progress", "attempt": 1, "step": 3, "total_steps": 9, "loss": 1, "eta_s": 0.5},
    {"event": "evaluated", "attempt": 1, "step": 0, "eval_loss": 2.5, "accuracy": None},
    {"event": "checkpoint", "attempt": 1, "step": 3},
    {"event": "finding", "attempt": 1, "code": "a", "severity": "warn", "message": "b", "recovery": "c"},
    {"event": "finished", "attempt": 1, "state": "succeeded", "error": None},
    {
        "event": "finished",
        "attempt": 1,
        "state": "failed",
        "error": {"code": "a", "message": "b", "recovery": "c"},
    },
    {"event": "exited", "attempt": 1, "returncode": -9, "oom_kills": 1},
    {"event": "of a later version", "attempt": 1, "anything": [1]},
]
WRONG = [
    {"attempt": 1},
    {"event": "phase"},
    {"event": "phase", "attempt": True},
    {"event": "phase", "attempt": 1, "t": "now"},
    {"event": "started", "attempt": 1, "boot": "then"},
    {"event": "progress", "attempt": 1, "step": -1},
    {"event": "progress", "attempt": 1, "step": 1.5},
    {"event": "progress", "attempt": 1, "step": 1, "total_steps": "many"},
    {"event": "progress", "attempt": 1, "step": 1, "loss": "low"},
    {"event": "evaluated", "attempt": 1, "step": 1, "eval_loss": [1]},
    {"event": "finding", "attempt": 1, "code": "x"},
    {"event": "finding", "attempt": 1, "severity": "loud"},
    {"event": "finished", "attempt": 1, "state": "archived"},
    {"event": "finished", "attempt": 1, "state": "running"},
    {"event": "finished", "attempt": 1, "state": "failed", "error": {"code": 7}},
    {"event": "finished", "attempt": 1, "state": ["failed"]},
    {"event": "exited", "attempt": 1, "returncode": "bad"},
]


@pytest.mark.parametrize("event", OURS, ids=str)
def test_an_event_of_ours_is_well_formed(event):
    assert is_well_formed(event)


@pytest.mark.parametrize("event", WRONG, ids=str)
def test_an_event_with_a_field_of_another_kind_is_not(event):
    assert not is_well_formed(event)

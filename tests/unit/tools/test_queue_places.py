"""What a queued run is told of its turn."""

from __future__ import annotations

import pytest

from tests.support.written_runs import PLAN, began, finished, progressed, run_handle, write_run
from tunesmith.jobs.executor import LocalExecutor
from tunesmith.jobs.lease import Lease
from tunesmith.jobs.paths import Store
from tunesmith.jobs.queue import Queue
from tunesmith.jobs.snapshot import Observer
from tunesmith.tools.queueing import Place, place_of
from tunesmith.tools.workspace import Workspace, report_to_nobody

PLANNED_S = PLAN.estimated_seconds


@pytest.fixture
def workspace(tmp_path):
    store = Store(tmp_path / "store")
    store.root.mkdir()
    return Workspace(store, LocalExecutor(store), Observer(store), report_to_nobody)


def queued(workspace, number, *events):
    handle = run_handle(number)
    write_run(workspace.store, handle, events)
    Queue(workspace.store).add(handle)
    return handle


@pytest.fixture
def running(workspace):
    """Begins runs that are at work: this process holds their leases."""
    leases = []

    def begin(number, eta_s=None):
        handle = queued(workspace, number, *began(), progressed(5, eta_s=eta_s))
        leases.append(Lease.acquire(workspace.store.handle(handle).lease))
        return handle

    yield begin
    for lease in leases:
        lease.release()


def test_the_next_waits_for_what_the_running_one_has_left(workspace, running):
    running(1, eta_s=720.0)
    assert place_of(workspace, queued(workspace, 2)) == Place(1, 720.0)


def test_those_ahead_count_with_what_their_plans_expect(workspace, running):
    running(1, eta_s=720.0)
    queued(workspace, 2)
    third = queued(workspace, 3)
    place = place_of(workspace, third)
    assert place == Place(2, 720.0 + PLANNED_S)
    assert place.in_words.startswith("second in line, starts in about ")


def test_where_several_run_side_by_side_the_first_to_end_makes_room(workspace, running):
    running(1, eta_s=50.0)
    running(2, eta_s=5000.0)
    queued(workspace, 3)
    assert place_of(workspace, queued(workspace, 4)) == Place(2, 50.0 + PLANNED_S)


def test_before_it_has_told_its_own_time_a_running_one_counts_with_its_plans(workspace, running):
    running(1)
    assert place_of(workspace, queued(workspace, 2)) == Place(1, PLANNED_S)


def test_nothing_is_promised_where_something_ahead_has_no_estimate(workspace, running):
    ahead = running(1)
    workspace.store.handle(ahead).plan.unlink()
    place = place_of(workspace, queued(workspace, 2))
    assert place == Place(1, None)
    assert place.in_words == "next in line"


def test_ended_and_removed_runs_keep_nobody_waiting(workspace):
    queued(workspace, 1, *began(), finished())
    Queue(workspace.store).add(run_handle(2))
    assert place_of(workspace, queued(workspace, 3)) == Place(1, 0.0)


def test_what_does_not_wait_has_no_place(workspace, running):
    assert place_of(workspace, running(1)) is None
    assert place_of(workspace, run_handle(9)) is None


@pytest.mark.parametrize(("position", "words"), [(1, "next"), (3, "third"), (5, "fifth"), (12, "12th")])
def test_a_place_is_told_in_words(position, words):
    assert Place(position, None).in_words == f"{words} in line"

"""First come, first served; side by side where memory allows; nothing that was asked for is forgotten."""

from __future__ import annotations

import errno
import os

import pytest

from tests.support.fake_jobs import FakeRequest
from tests.support.waiting import wait_until
from tunesmith.jobs import clock, submission
from tunesmith.jobs.devices import CPU, Device
from tunesmith.jobs.executor import MOST_WAITING, LocalExecutor
from tunesmith.jobs.host import Host
from tunesmith.jobs.journal import Journal
from tunesmith.jobs.queue import Queue
from tunesmith.jobs.snapshot import Observer
from tunesmith.jobs.state import START_GRACE_S
from tunesmith.jobs.waking import poke
from tunesmith.schemas.enums import RunState, Work
from tunesmith.schemas.errors import QueueFull
from tunesmith.schemas.handles import new_handle


def on_gpu(snapshot):
    return (snapshot.ledger.phase or "").startswith("on GPU")


def states(hosted, handles):
    return [hosted.look(handle).state for handle in handles]


def test_trainings_start_in_the_order_in_which_they_came(hosted):
    handles = [hosted.submit("steps") for _ in range(3)]
    hosted.start_host()
    for number, handle in enumerate(handles):
        hosted.job_pid(handle)
        assert states(hosted, handles[number + 1 :]) == [RunState.QUEUED] * (2 - number)
        hosted.ask_to_stop(handle)
        hosted.ended(handle)


def test_one_that_is_stopped_while_it_waits_leaves_the_queue_at_once(hosted):
    first, second, third = (hosted.submit("steps") for _ in range(3))
    hosted.start_host()
    hosted.job_pid(first)
    hosted.ask_to_stop(third)
    assert hosted.ended(third).state is RunState.STOPPED
    assert states(hosted, [first, second]) == [RunState.RUNNING, RunState.QUEUED]


def test_as_many_run_side_by_side_as_the_devices_take(hosted):
    handles = [hosted.submit("steps") for _ in range(3)]
    hosted.start_host(slots=2)
    for handle in handles[:2]:
        hosted.job_pid(handle)
    assert hosted.look(handles[2]).state is RunState.QUEUED
    hosted.ask_to_stop(handles[0])
    hosted.job_pid(handles[2])
    assert hosted.look(handles[1]).state is RunState.RUNNING


def test_a_training_is_told_which_gpu_it_has_and_others_get_another(hosted):
    handles = [hosted.submit("gpu") for _ in range(3)]
    hosted.start_host(gpus=2)
    seen = {}
    for handle in handles:
        job = wait_until(lambda handle=handle: hosted.look(handle), on_gpu)
        seen[handle] = (job.ledger.device, job.ledger.phase)
    found = sorted(seen.values())
    assert [phase for _, phase in found] == [f"on GPU {device}" for device, _ in found]
    assert {device for device, _ in found} == {"0", "1"}


def test_jobs_of_an_earlier_host_keep_their_places(hosted):
    first, second = hosted.submit("steps"), hosted.submit("steps")
    host = hosted.start_host()
    hosted.job_pid(first)
    host.kill()
    host.wait(10)
    hosted.start_host()
    other = hosted.submit("none", Work.EVALUATE)
    assert hosted.ended(other).state is RunState.SUCCEEDED, "the new host serves"
    assert states(hosted, [first, second]) == [RunState.RUNNING, RunState.QUEUED]
    hosted.ask_to_stop(first)
    hosted.job_pid(second)


@pytest.mark.row("R21")
def test_a_run_whose_maker_died_before_it_was_queued_is_found(hosted):
    handle = hosted.submit("none")
    Queue(hosted.store).remove(handle)
    hosted.start_host()
    assert hosted.ended(handle).state is RunState.SUCCEEDED


@pytest.mark.row("R6", "R21")
def test_what_a_host_had_claimed_and_not_begun_when_it_was_killed_is_begun_by_the_next(hosted):
    handle = hosted.submit("none")
    journal = Journal(hosted.store.handle(handle).journal, 1)
    journal.append("claimed", host_pid=2**22 + 1, device="cpu")
    assert hosted.look(handle).state is RunState.STARTING, "it may have been forked a moment before"
    journal.append("claimed", host_pid=2**22 + 1, device="cpu", boot=clock.boot_s() - START_GRACE_S)
    assert hosted.look(handle).state is RunState.QUEUED
    hosted.start_host()
    assert hosted.ended(handle).state is RunState.SUCCEEDED


class NoMoreProcesses:
    """A forkserver on a machine that has no process left to give."""

    def is_warm(self):
        return True

    def fork(self, *_):
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")


def test_a_job_that_no_process_could_be_had_for_is_interrupted_and_the_host_goes_on(hosted):
    first, second = hosted.submit("none"), hosted.submit("none")
    host = Host(hosted.store, lambda *_: None, (), devices=[Device(CPU, 1, 2**40)])
    host._observer, host._queue = Observer(hosted.store), Queue(hosted.store)
    host._devices, host._forkserver = host.devices, NoMoreProcesses()
    host._step()
    assert states(hosted, [first, second]) == [RunState.INTERRUPTED] * 2
    assert f"status {os.EX_OSERR}" in hosted.look(first).error.message


@pytest.mark.row("S16")
def test_a_full_queue_says_so_and_takes_everything_else(hosted):
    executor = LocalExecutor(hosted.store)
    handles = [new_handle(Work.TRAIN) for _ in range(MOST_WAITING)]
    for handle in handles:
        submission.create(hosted.store, handle, FakeRequest(behaviour="none"))
    with pytest.raises(QueueFull, match=str(MOST_WAITING)):
        executor.submit(new_handle(Work.TRAIN), FakeRequest(behaviour="none"))
    assert len(hosted.store.handles(Work.TRAIN)) == MOST_WAITING, "nothing was made"
    hosted.start_host()
    wait_until(lambda: poke(hosted.store))
    assert executor.submit(handles[0], FakeRequest(behaviour="none")) is False, "a repeated call is answered"
    other = new_handle(Work.EVALUATE)
    assert executor.submit(other, FakeRequest(behaviour="none")) is True
    assert hosted.ended(other).state is RunState.SUCCEEDED

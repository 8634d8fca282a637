"""The host and its job processes under real signals."""

from __future__ import annotations

import os
import signal

import pytest

from tests.support.fake_jobs import FakeResult
from tests.support.waiting import is_alive, wait_until
from tunesmith.jobs import submission
from tunesmith.jobs.files import read_document
from tunesmith.jobs.lease import holder
from tunesmith.jobs.waking import poke
from tunesmith.schemas.enums import RunState, Work


def result_of(hosted, handle):
    return read_document(hosted.store.handle(handle).result, FakeResult)


def test_queued_work_is_done_and_its_exit_recorded(hosted):
    handle = hosted.submit("none")
    assert hosted.look(handle).state is RunState.QUEUED
    hosted.start_host()
    assert hosted.ended(handle).state is RunState.SUCCEEDED
    wait_until(lambda: not hosted.store.queued(handle).exists())


def test_work_that_arrives_later_wakes_the_host(hosted):
    hosted.start_host()
    wait_until(lambda: poke(hosted.store))
    assert hosted.ended(hosted.submit("none")).state is RunState.SUCCEEDED


def test_a_job_has_its_own_session_and_no_inherited_pipe(hosted):
    handle = hosted.submit("none")
    hosted.start_host()
    hosted.ended(handle)
    found = result_of(hosted, handle)
    assert found.session == found.pid
    assert not [name for name in found.descriptors if name.startswith(("pipe:", "socket:"))]


@pytest.mark.row("R20")
def test_what_a_job_and_its_children_print_goes_to_its_log(hosted):
    handle = hosted.submit("print")
    hosted.start_host()
    hosted.ended(handle)
    log = hosted.store.handle(handle).log.read_text()
    assert "printed by a job" in log
    assert "printed by a child" in log


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [("fail", "no_rows"), ("bug", "internal"), ("full", "disk_full"), ("memory", "out_of_memory")],
)
def test_a_failure_is_told_with_its_code_and_a_bug_without_its_details(hosted, behaviour, code):
    handle = hosted.submit(behaviour)
    hosted.start_host()
    seen = hosted.ended(handle)
    assert (seen.state, seen.error.code) == (RunState.FAILED, code)
    assert "a secret detail" not in seen.error.message + seen.error.recovery


@pytest.mark.row("R1")
def test_a_killed_job_is_interrupted_by_signal_9_and_another_attempt_succeeds(hosted):
    handle = hosted.submit("kill-once")
    hosted.start_host()
    seen = wait_until(lambda: hosted.look(handle), lambda seen: seen.ledger.returncode is not None)
    assert seen.state is RunState.INTERRUPTED
    assert "signal 9" in seen.error.message
    wait_until(lambda: not hosted.store.queued(handle).exists())
    submission.requeue(hosted.store, handle, 2)
    poke(hosted.store)
    assert hosted.ended(handle).state is RunState.SUCCEEDED
    assert result_of(hosted, handle).attempt == 2


@pytest.mark.row("R21")
def test_a_start_is_never_seen_as_a_failure(hosted):
    hosted.start_host()
    handles = [hosted.submit("none", Work.EVALUATE) for _ in range(4)]
    met = set()
    while len(ended := [one for one in handles if not hosted.look(one).state.is_active]) < len(handles):
        met.update(hosted.look(one).state for one in handles if one not in ended)
    met.update(hosted.look(one).state for one in handles)
    assert RunState.SUCCEEDED in met
    assert met <= {RunState.QUEUED, RunState.STARTING, RunState.RUNNING, RunState.SUCCEEDED}


def test_a_stop_ends_a_running_job_as_stopped(hosted):
    handle = hosted.submit("steps")
    hosted.start_host()
    wait_until(lambda: hosted.look(handle).ledger.progress.get("step"))
    hosted.ask_to_stop(handle)
    assert hosted.ended(handle).state is RunState.STOPPED


def test_a_stop_before_the_start_ends_queued_work_without_running_it(hosted):
    handle = hosted.submit("none")
    hosted.ask_to_stop(handle)
    hosted.start_host()
    assert hosted.ended(handle).state is RunState.STOPPED
    assert not hosted.store.handle(handle).result.exists()


@pytest.mark.row("R17")
def test_sigterm_lets_a_job_save_and_stop(hosted):
    handle = hosted.submit("steps")
    hosted.start_host()
    os.kill(hosted.job_pid(handle), signal.SIGTERM)
    assert hosted.ended(handle).state is RunState.STOPPED


@pytest.mark.row("R6")
def test_a_killed_host_leaves_its_job_running_and_the_next_host_adopts_it(hosted):
    handle = hosted.submit("steps")
    host = hosted.start_host()
    pid = hosted.job_pid(handle)
    host.kill()
    host.wait(10)
    assert hosted.look(handle).state is RunState.RUNNING
    second = hosted.start_host()
    wait_until(lambda: holder(hosted.store.host_lease) == second.pid)
    assert is_alive(pid)
    hosted.ask_to_stop(handle)
    poke(hosted.store)
    assert hosted.ended(handle).state is RunState.STOPPED
    wait_until(lambda: not hosted.store.queued(handle).exists())


def test_one_store_has_one_host_also_after_it_has_worked(hosted):
    first = hosted.start_host()
    wait_until(lambda: holder(hosted.store.host_lease) == first.pid)
    hosted.ended(hosted.submit("none"))
    assert holder(hosted.store.host_lease) == first.pid
    second = hosted.start_host()
    assert second.wait(20) == 0
    assert first.poll() is None


def test_trainings_wait_for_each_other_while_other_work_goes_on(hosted):
    first, second = hosted.submit("steps"), hosted.submit("none")
    hosted.start_host()
    hosted.job_pid(first)
    data = hosted.submit("none", Work.LOAD_DATASET)
    assert hosted.ended(data).state is RunState.SUCCEEDED
    assert hosted.look(second).state is RunState.QUEUED
    hosted.ask_to_stop(first)
    assert hosted.ended(second).state is RunState.SUCCEEDED


def test_an_idle_host_leaves(hosted):
    handle = hosted.submit("none")
    host = hosted.start_host(idle_s=0.2)
    assert hosted.ended(handle).state is RunState.SUCCEEDED
    assert host.wait(20) == 0

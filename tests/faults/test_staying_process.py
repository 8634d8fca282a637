"""A process that has answered stays for the next question, and is never what a question is lost by."""

from __future__ import annotations

import os
import signal

import pytest

from tests.support.fake_jobs import FakeResult
from tests.support.waiting import is_alive, wait_until
from tunesmith.jobs.files import read_document
from tunesmith.jobs.lease import holder
from tunesmith.schemas.enums import RunState, Work


@pytest.fixture
def asked(hosted):
    """Has a generation done by the store's host; returns what it left."""

    def ask(behaviour: str = "none") -> FakeResult:
        handle = hosted.submit(behaviour, Work.GENERATE)
        assert hosted.ended(handle).state is RunState.SUCCEEDED
        wait_until(lambda: not hosted.store.queued(handle).exists())
        found = read_document(hosted.store.handle(handle).result, FakeResult)
        assert found is not None
        return found

    return ask


@pytest.fixture
def warm(hosted, asked):
    """The pid of a process that stays."""
    hosted.start_host()
    hosted.ended(hosted.submit("none", Work.EVALUATE))  # from now on the host forks
    return asked().pid


def test_one_process_answers_one_after_the_other_and_no_descriptor_stays_open(asked, warm):
    first, second = asked(), asked()
    assert (first.pid, second.pid) == (warm, warm)
    assert len(first.descriptors) == len(second.descriptors)
    assert first.session == warm


def test_each_answer_prints_to_its_own_log(hosted, asked, warm):
    printing = hosted.submit("print", Work.GENERATE)
    hosted.ended(printing)
    quiet = hosted.submit("none", Work.GENERATE)
    hosted.ended(quiet)
    assert "printed by a child" in hosted.store.handle(printing).log.read_text()
    assert hosted.store.handle(quiet).log.read_text() == ""


def test_other_work_gets_a_process_of_its_own(hosted, warm):
    handle = hosted.submit("none", Work.LOAD_DATASET)
    hosted.ended(handle)
    assert read_document(hosted.store.handle(handle).result, FakeResult).pid != warm


def test_a_failure_ends_the_process_and_the_next_one_is_answered(hosted, asked, warm):
    assert hosted.ended(hosted.submit("fail", Work.GENERATE)).state is RunState.FAILED
    wait_until(lambda: not is_alive(warm))
    assert asked().pid != warm


def test_a_process_killed_while_it_waits_is_replaced(asked, warm):
    os.kill(warm, signal.SIGKILL)
    wait_until(lambda: not is_alive(warm))
    fresh = asked().pid
    assert fresh != warm
    assert asked().pid == fresh


@pytest.mark.row("R1")
def test_a_process_killed_at_work_interrupts_that_work_alone(hosted, asked, warm):
    handle = hosted.submit("steps", Work.GENERATE)
    assert hosted.job_pid(handle) == warm
    os.kill(warm, signal.SIGKILL)
    seen = hosted.ended(handle)
    assert seen.state is RunState.INTERRUPTED
    assert asked().pid != warm


def test_work_that_comes_while_the_process_leaves_is_begun_by_another(hosted, warm):
    os.kill(warm, signal.SIGSTOP)
    handle = hosted.submit("none", Work.GENERATE)
    wait_until(lambda: hosted.look(handle).state is RunState.STARTING)
    os.kill(warm, signal.SIGTERM)
    os.kill(warm, signal.SIGCONT)
    assert hosted.ended(handle).state is RunState.SUCCEEDED
    assert read_document(hosted.store.handle(handle).result, FakeResult).pid != warm
    assert hosted.look(handle).ledger.attempt == 1


def test_a_stop_ends_the_answer_and_not_the_process(hosted, asked, warm):
    handle = hosted.submit("steps", Work.GENERATE)
    assert hosted.job_pid(handle) == warm
    hosted.ask_to_stop(handle)
    assert hosted.ended(handle).state is RunState.STOPPED
    assert asked().pid == warm


def test_a_question_beside_a_long_answer_does_not_wait_for_it(hosted, asked, warm):
    long = hosted.submit("steps", Work.GENERATE)
    assert hosted.job_pid(long) == warm
    other = asked().pid
    assert other != warm
    wait_until(lambda: not is_alive(other))
    hosted.ask_to_stop(long)
    assert hosted.ended(long).state is RunState.STOPPED


def test_a_process_that_nobody_needs_leaves(hosted, asked):
    hosted.start_host(stay_s=0.2)
    hosted.ended(hosted.submit("none", Work.EVALUATE))
    pid = asked().pid
    wait_until(lambda: not is_alive(pid))
    assert not list(hosted.store.host.glob("turns-*"))
    assert asked().pid != pid


def test_a_training_gets_the_memory_of_a_process_that_waits(hosted, warm):
    training = hosted.submit("steps")
    hosted.job_pid(training)
    wait_until(lambda: not is_alive(warm))
    meanwhile = hosted.submit("none", Work.GENERATE)
    assert hosted.ended(meanwhile).state is RunState.SUCCEEDED
    pid = read_document(hosted.store.handle(meanwhile).result, FakeResult).pid
    wait_until(lambda: not is_alive(pid))
    hosted.ask_to_stop(training)
    assert hosted.ended(training).state is RunState.STOPPED


@pytest.mark.row("R6")
def test_a_process_whose_host_is_gone_leaves(hosted, warm):
    os.kill(holder(hosted.store.host_lease), signal.SIGKILL)
    wait_until(lambda: not is_alive(warm))

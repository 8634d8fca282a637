"""A stop that was asked for ends the work in its time, and nobody else."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from tests.support.waiting import is_alive, wait_until
from tunesmith.jobs import lease
from tunesmith.jobs.journal import Journal
from tunesmith.jobs.paths import Store
from tunesmith.jobs.stopping import read_stop, request_stop
from tunesmith.jobs.waking import poke
from tunesmith.schemas.enums import RunState


@pytest.mark.row("R17")
def test_a_job_that_hears_no_stop_is_killed_when_its_time_is_up(hosted):
    handle = hosted.submit("deaf")
    hosted.start_host()
    pid = hosted.job_pid(handle)
    hosted.ask_to_stop(handle, grace_s=60)
    assert hosted.look(handle).state is RunState.STOPPING

    hosted.ask_to_stop(handle, grace_s=0.2)
    seen = hosted.ended(handle)

    assert (seen.state, seen.error) == (RunState.STOPPED, None)
    assert not is_alive(pid)
    wait_until(lambda: not hosted.store.queued(handle).exists())
    assert [finding["code"] for finding in hosted.look(handle).ledger.findings] == ["stop_forced"]


@pytest.mark.row("R17")
def test_a_job_of_a_killed_host_is_ended_by_the_next_one(hosted):
    handle = hosted.submit("deaf")
    host = hosted.start_host()
    hosted.job_pid(handle)
    host.kill()
    host.wait(10)
    hosted.ask_to_stop(handle, grace_s=0.1)
    hosted.start_host()

    assert hosted.ended(handle).state is RunState.STOPPED


@pytest.mark.row("R17")
def test_asking_again_brings_the_end_nearer_and_never_puts_it_off(hosted):
    handle = hosted.submit("deaf")
    hosted.start_host()
    hosted.job_pid(handle)
    hosted.ask_to_stop(handle, grace_s=60)
    hosted.ask_to_stop(handle, grace_s=500)
    stop = read_stop(hosted.store.handle(handle), 1)
    assert stop is not None and stop.grace_s == 60

    hosted.ask_to_stop(handle, grace_s=0)

    assert hosted.ended(handle).state is RunState.STOPPED


def test_what_stopped_one_attempt_does_not_stop_the_next(hosted):
    handle = hosted.submit("steps")
    hosted.start_host()
    hosted.job_pid(handle)
    hosted.ask_to_stop(handle)
    assert hosted.ended(handle).state is RunState.STOPPED
    hosted.resume(handle)

    assert wait_until(lambda: hosted.look(handle), lambda seen: seen.state is RunState.RUNNING)
    hosted.ask_to_stop(handle)
    assert hosted.ended(handle).state is RunState.STOPPED


@pytest.mark.row("R16")
def test_a_stranger_with_the_number_of_a_job_is_never_signalled(hosted):
    """The journal names a living process that is somebody else's; the lease is free."""
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        handle = hosted.submit("none")
        paths = hosted.store.handle(handle)
        Journal(paths.journal, 1).append("claimed", host_pid=os.getpid())
        Journal(paths.journal, 1).append("started", pid=stranger.pid, birth="1")
        paths.lease.touch()
        request_stop(paths, 1, 0.0)
        hosted.start_host()
        wait_until(lambda: not hosted.store.queued(handle).exists())

        assert hosted.look(handle).state is RunState.INTERRUPTED
        assert is_alive(stranger.pid)
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.row("R16")
def test_a_number_that_changes_hands_before_the_signal_is_not_signalled(tmp_path, monkeypatch):
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        told = iter([stranger.pid, None])
        monkeypatch.setattr(lease, "holder", lambda _: next(told))
        assert lease.kill_holder(tmp_path / "lease") is False
        assert is_alive(stranger.pid)
    finally:
        stranger.kill()
        stranger.wait()


def test_killing_whoever_holds_a_lease_kills_it_and_nobody_where_it_is_free(hosted):
    handle = hosted.submit("deaf")
    hosted.start_host()
    pid = hosted.job_pid(handle)
    assert lease.kill_holder(hosted.store.handle(handle).lease) is True
    wait_until(lambda: not is_alive(pid))
    assert lease.kill_holder(hosted.store.handle(handle).lease) is False


@pytest.mark.row("R17")
def test_a_host_that_is_told_to_leave_leaves_its_jobs_alone(hosted):
    handle = hosted.submit("steps")
    host = hosted.start_host()
    pid = hosted.job_pid(handle)
    host.send_signal(signal.SIGTERM)
    assert host.wait(10) == 0
    assert is_alive(pid)
    assert hosted.look(handle).state is RunState.RUNNING
    assert not poke(Store(hosted.store.root))

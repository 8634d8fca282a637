"""Handing work over: what cannot be started leaves nothing behind."""

from __future__ import annotations

import sys

import pytest

from tests.support.fake_jobs import FakeRequest
from tunesmith.jobs.executor import LocalExecutor
from tunesmith.jobs.paths import Store
from tunesmith.schemas.enums import Work
from tunesmith.schemas.errors import WorkerUnavailable
from tunesmith.schemas.handles import new_handle


@pytest.fixture
def no_interpreter(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")


@pytest.mark.usefixtures("no_interpreter")
def test_a_job_process_that_cannot_be_started_is_told_and_its_handle_gone(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(WorkerUnavailable, match="job process"):
        LocalExecutor(store).submit_direct(new_handle(Work.PUSH), FakeRequest(behaviour="none"))
    assert store.handles(Work.PUSH) == []


@pytest.mark.usefixtures("no_interpreter")
def test_a_host_that_cannot_be_started_is_told(tmp_path):
    with pytest.raises(WorkerUnavailable, match="background host"):
        LocalExecutor(Store(tmp_path)).ensure_host()


def test_asking_for_the_host_twice_starts_it_once(tmp_path, monkeypatch):
    started = []
    executor = LocalExecutor(Store(tmp_path))

    class Child:
        def __init__(self):
            self.args = ["python", "host"]

        def poll(self):
            return None

    def start():
        started.append(1)
        return Child()

    monkeypatch.setattr(executor, "_start_host", start)
    executor.ensure_host()
    executor.ensure_host()
    assert started == [1]

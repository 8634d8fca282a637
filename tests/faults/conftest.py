"""A real host over a temporary store, with fake jobs; and the proof that a test leaves nothing behind."""

from __future__ import annotations

import gc
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import end_processes
from tests.support.fake_jobs import FakeRequest
from tests.support.left_behind import open_descriptors, processes_naming
from tests.support.waiting import wait_until
from tunesmith.jobs import submission
from tunesmith.jobs.paths import Store
from tunesmith.jobs.snapshot import Observer, Snapshot
from tunesmith.jobs.stopping import request_stop
from tunesmith.jobs.waking import poke
from tunesmith.schemas.enums import Work
from tunesmith.schemas.handles import new_handle

REPOSITORY = Path(__file__).parents[2]


@dataclass
class HostedStore:
    store: Store
    hosts: list[subprocess.Popen[bytes]]

    def start_host(
        self, idle_s: float = 60.0, slots: int = 1, gpus: int = 0, stay_s: float = 60.0
    ) -> subprocess.Popen[bytes]:
        arguments = [str(self.store.root), str(idle_s), str(slots), str(gpus), str(stay_s)]
        host = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fake_host", *arguments],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.hosts.append(host)
        return host

    def submit(self, behaviour: str, work: Work = Work.TRAIN) -> str:
        handle = new_handle(work)
        submission.create(self.store, handle, FakeRequest(behaviour=behaviour))
        poke(self.store)
        return handle

    def resume(self, handle: str) -> None:
        submission.requeue(self.store, handle, self.look(handle).ledger.attempt + 1)
        poke(self.store)

    def ask_to_stop(self, handle: str, grace_s: float = 60.0) -> None:
        request_stop(self.store.handle(handle), max(1, self.look(handle).ledger.attempt), grace_s)
        poke(self.store)

    def look(self, handle: str) -> Snapshot:
        return Observer(self.store).look(handle)

    def ended(self, handle: str) -> Snapshot:
        return wait_until(lambda: self.look(handle), lambda seen: not seen.state.is_active)

    def job_pid(self, handle: str) -> int:
        from tunesmith.jobs.lease import holder

        pid = wait_until(lambda: holder(self.store.handle(handle).lease))
        assert pid is not None
        return pid


@pytest.fixture
def hosted(tmp_path):
    found = HostedStore(Store(tmp_path / "store"), [])
    found.store.root.mkdir()
    yield found
    for host in found.hosts:
        host.terminate()
        host.wait(10)
    end_processes(found.store)


@pytest.fixture
def store(tmp_path):
    """A store without a host, whose processes end with the test."""
    found = Store(tmp_path / "store")
    yield found
    end_processes(found)


@pytest.fixture(autouse=True)
def nothing_left_behind(tmp_path, monkeypatch):
    """No process that the test has started, directly or not, outlives it, and no descriptor that it opened."""
    monkeypatch.setenv("TUNESMITH_TEST", str(tmp_path))
    before = open_descriptors()
    yield
    wait_until(lambda: processes_naming(tmp_path), lambda left: not left)
    gc.collect()
    assert sorted(open_descriptors() - before) == []

"""A real host over a temporary store, with fake jobs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.fake_jobs import FakeRequest
from tests.support.waiting import is_alive, wait_until
from tunesmith.jobs import submission
from tunesmith.jobs.host import poke
from tunesmith.jobs.paths import Store
from tunesmith.jobs.snapshot import Observer, Snapshot
from tunesmith.schemas.enums import Work
from tunesmith.schemas.handles import new_handle

REPOSITORY = Path(__file__).parents[2]


@dataclass
class HostedStore:
    store: Store
    hosts: list[subprocess.Popen[bytes]]

    def start_host(self, idle_s: float = 60.0) -> subprocess.Popen[bytes]:
        host = subprocess.Popen(
            [sys.executable, "-m", "tests.support.fake_host", str(self.store.root), str(idle_s)],
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
    for work in Work:
        for handle in found.store.handles(work):
            found.store.handle(handle).stop.touch()
    # No process is left behind: every job hears the stop and ends.
    for work in Work:
        for handle in found.store.handles(work):
            from tunesmith.jobs.lease import holder

            pid = holder(found.store.handle(handle).lease)
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
                wait_until(lambda pid=pid: not is_alive(pid))

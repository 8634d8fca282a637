"""What all tests share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.waiting import is_alive, wait_until
from tunesmith.jobs import lease
from tunesmith.jobs.paths import Store
from tunesmith.schemas.enums import Work

# A change is judged by the same examples each time; `make test-slow` looks for new ones.
settings.register_profile("same_examples", derandomize=True, deadline=None)
settings.load_profile("same_examples")

MATERIAL = Path(__file__).parents[2] / "shared" / "material"


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="session")
def material():
    """Real models and data, where the machine has them."""
    if not MATERIAL.is_dir():
        pytest.skip("no material beside the repository")
    return MATERIAL


def end_processes(store: Store) -> None:
    """End the host and the jobs of a store, and see to it that they are gone."""
    leases = [store.host_lease] + [
        store.handle(handle).lease for work in Work for handle in store.handles(work)
    ]
    for path in leases:
        pid = lease.holder(path)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda pid=pid: not is_alive(pid))


@pytest.fixture
def store_path(tmp_path):
    """A store whose processes end with the test."""
    path = tmp_path / "store"
    yield path
    end_processes(Store(path))

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.training import tiny
from tunesmith.jobs.paths import Store
from tunesmith.training import reporting


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Beside other processes two threads wait for each other more than they compute; one is also reproducible."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_model(tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def every_step_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "PROGRESS_INTERVAL_S", 0.0)

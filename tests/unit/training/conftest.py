from __future__ import annotations

from pathlib import Path

import pytest

from tests.training import tiny
from tunesmith.jobs.paths import Store


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_model(tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tunesmith.schemas.errors import MissingExtra
from tunesmith.tools import trackers
from tunesmith.tools.installed import is_installed


def test_a_tracker_that_is_not_installed_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(trackers, "is_installed", lambda name: name != "wandb")
    trackers.require_installed(["tensorboard"])
    with pytest.raises(MissingExtra, match="wandb") as told:
        trackers.require_installed(["tensorboard", "wandb"])
    assert "pip install 'tunesmith[wandb]'" in told.value.recovery


def test_a_folder_that_wandb_left_behind_is_no_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no_such_tracker").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert importlib.util.find_spec("no_such_tracker") is not None
    assert not is_installed("no_such_tracker") and is_installed("json")


def test_addresses_with_a_password_are_not_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://user:password@mlflow.example")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "orders")
    monkeypatch.setenv("TRACKIO_SERVER_URL", "https://trackio.example/?write_token=secret")
    monkeypatch.delenv("TRACKIO_DIR", raising=False)
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    tracking = trackers.tracking_of(["mlflow", "trackio", "wandb"])
    assert "secret" not in tracking.model_dump_json() and "password" not in tracking.model_dump_json()
    assert tracking.settings["MLFLOW_EXPERIMENT_NAME"] == "orders"
    assert tracking.settings["TRACKIO_DIR"] is None, "an older host's must not be used instead"
    assert "MLFLOW_TRACKING_URI" not in tracking.settings

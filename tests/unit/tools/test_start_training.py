"""Which trackers an attempt reports to; nothing is trained."""

from __future__ import annotations

import pytest

from tests.support.ended_runs import make_plan, make_run
from tests.training.tiny import WHEN
from tunesmith.jobs.executor import LocalExecutor
from tunesmith.jobs.files import read_document
from tunesmith.jobs.paths import Store
from tunesmith.jobs.snapshot import Observer
from tunesmith.jobs.submission import create_finished
from tunesmith.schemas.errors import RequestKeyReused
from tunesmith.schemas.runs import Tracking, TrainRequest
from tunesmith.tools import start_training as tool
from tunesmith.tools.start_training import start_training
from tunesmith.tools.workspace import Workspace, report_to_nobody

pytestmark = pytest.mark.anyio


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.setattr(tool, "require_installed", lambda names: None)
    monkeypatch.setattr(LocalExecutor, "ensure_host", lambda self: None)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    store = Store(tmp_path / "store")
    return Workspace(store, LocalExecutor(store), Observer(store), report_to_nobody)


@pytest.fixture
def plan(workspace):
    plan = make_plan()
    request = TrainRequest(plan_id=plan.plan_id, mode="full", request_key=None, created_at=WHEN)
    create_finished(workspace.store, plan.plan_id, request, plan, lambda paths: None)
    return plan


def tracking_of(workspace, run_id):
    return read_document(workspace.store.handle(run_id).tracking, Tracking)


async def test_trackers_are_noted_once_each_with_the_settings_of_now(workspace, plan, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "orders")
    asked = {"plan_id": plan.plan_id, "request_key": "a", "report_to": ["wandb", "tensorboard", "wandb"]}
    run = await start_training(workspace, **asked)
    noted = tracking_of(workspace, run.run_id)
    assert noted.report_to == ["wandb", "tensorboard"] and noted.settings["WANDB_PROJECT"] == "orders"
    monkeypatch.setenv("WANDB_PROJECT", "others")
    assert not (await start_training(workspace, **asked)).created, "the same call again is harmless"
    with pytest.raises(RequestKeyReused):
        await start_training(workspace, plan.plan_id, request_key="a", report_to=["mlflow"])


async def test_a_run_without_trackers_notes_nothing(workspace, plan):
    run = await start_training(workspace, plan.plan_id)
    assert tracking_of(workspace, run.run_id) is None
    assert "report_to" not in workspace.store.handle(run.run_id).request.read_text()


@pytest.mark.parametrize(("report_to", "expected"), [(None, ["wandb"]), (["mlflow"], ["mlflow"]), ([], [])])
async def test_a_resumed_run_keeps_its_trackers_unless_told_otherwise(workspace, plan, report_to, expected):
    paths = make_run(workspace.store, "interrupted", plan)
    paths.tracking.write_text(Tracking(report_to=["wandb"]).model_dump_json())
    resumed = await start_training(workspace, plan.plan_id, resume_run_id=paths.handle, report_to=report_to)
    assert resumed.created
    assert tracking_of(workspace, paths.handle).report_to == expected

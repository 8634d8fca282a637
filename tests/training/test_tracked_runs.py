"""Real trackers beside a real training; those that are not installed here are left out."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.training import tiny
from tunesmith.jobs.context import JobContext
from tunesmith.jobs.files import read_document, write_document
from tunesmith.jobs.journal import read_events
from tunesmith.jobs.paths import HandlePaths, Store
from tunesmith.schemas.plans import Plan
from tunesmith.schemas.runs import Tracking
from tunesmith.training import reporting, tracking, train_job

STEPS = 8
VARIABLES = ("TENSORBOARD", "TRACKIO", "MLFLOW", "WANDB", "HF_MLFLOW")


class Killed(BaseException):
    """Stands for the death of the process."""


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """What a training sets for its trackers ends with the test."""
    before = {**os.environ}
    for name in [name for name in os.environ if name.startswith(VARIABLES)]:
        del os.environ[name]
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def make_job(base: Path, store: Store) -> Any:
    dataset = tiny.add_dataset(store, tiny.colour_rows(40))
    golden = tiny.add_golden_set(store, dataset, tiny.colour_rows(5, start=50))

    def make(tracker: Any, **settings: str | None) -> JobContext:
        # Not imported: some read their environment then.
        if find_spec(tracker) is None:
            pytest.skip(f"{tracker} is not installed")
        request = tiny.configure_request(base, dataset, golden, tuning_method="lora", max_steps=STEPS)
        job = tiny.make_run(store, tiny.make_plan(store, request, {"save_steps": 4, "eval_steps": 4}))
        write_document(job.paths.tracking, Tracking(report_to=[tracker], settings=settings))
        return job

    return make


def killed_and_resumed(job: JobContext, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Train, die after step 5, go on from step 4; returns what was found."""
    original = reporting.Reporter.on_step_end

    def on_step_end(self: Any, args: Any, state: Any, control: Any, **keywords: Any) -> None:
        if state.global_step == 6:
            raise Killed
        original(self, args, state, control, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(tracking, "_HURRIED_END_S", 60.0)  # MLflow makes its database for ten seconds and more
        patch.setattr(reporting.Reporter, "on_step_end", on_step_end)
        with pytest.raises(Killed):
            train_job.run(job)
    train_job.run(tiny.next_attempt(job))
    return findings(job.paths)


def findings(paths: HandlePaths) -> dict[str, dict[str, Any]]:
    found = {event["code"]: event for event in read_events(paths.journal) if event["event"] == "finding"}
    print(found)
    return found


def held_out(paths: HandlePaths) -> Any:
    """The journal's losses of the dev half by step, as they have to come back."""
    events = read_events(paths.journal)
    return pytest.approx({e["step"]: e["eval_loss"] for e in events if e["event"] == "evaluated"})


def planned_rank(job: JobContext) -> int | None:
    plan = read_document(job.paths.plan, Plan)
    assert plan is not None
    return plan.config.r


def test_a_resumed_run_goes_on_in_the_same_tensorboard_curves(
    make_job: Any, monkeypatch: pytest.MonkeyPatch, base: Path
) -> None:
    job = make_job("tensorboard")
    found = killed_and_resumed(job, monkeypatch)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = job.paths.trackers / "tensorboard"
    assert "tracker_failed" not in found
    assert f"tensorboard --logdir {folder}" in found["reports_to_tensorboard"]["recovery"]
    events = EventAccumulator(str(folder / job.handle)).Reload()
    assert [point.step for point in events.Scalars("train/loss")] == [*range(1, STEPS + 1)], "each step once"
    assert {"train/learning_rate", "train/grad_norm", "eval/accuracy"} <= {*events.Tags()["scalars"]}
    assert {point.step: point.value for point in events.Scalars("eval/loss")} == held_out(job.paths)
    told = events.Tensors("args/text_summary")[0].tensor_proto.string_val[0].decode()
    assert json.loads(told)["r"] == planned_rank(job)
    assert str(base.parent) not in told and base.name in told, "the model's name, and not where it lies"


def test_a_tracker_that_cannot_write_costs_a_warning_and_no_step(make_job: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    job = make_job("tensorboard", TENSORBOARD_LOGGING_DIR=str(tmp_path / "file"))
    assert train_job.run(job).steps == STEPS
    warning = findings(job.paths)["tracker_failed"]
    assert warning["severity"] == "warn" and "NotADirectoryError" in warning["message"]


@pytest.mark.slow
def test_a_resumed_run_goes_on_in_the_same_mlflow_run(make_job: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job("mlflow")
    found = killed_and_resumed(job, monkeypatch)
    import mlflow

    assert "tracker_failed" not in found
    client = mlflow.MlflowClient(f"sqlite:///{job.paths.trackers / 'mlflow' / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("tunesmith").experiment_id])
    print(run.data.tags, run.data.params)
    assert (run.info.run_name, run.info.status) == (job.handle, "FINISHED")
    assert run.data.params["r"] == str(planned_rank(job))
    assert {point.step for point in client.get_metric_history(run.info.run_id, "loss")} == {
        *range(1, STEPS + 1)
    }
    losses = client.get_metric_history(run.info.run_id, "eval_loss")
    assert {point.step: point.value for point in losses} == held_out(job.paths)
    assert run.data.tags == {"mlflow.runName": job.handle}, "and nothing of this machine"


@pytest.mark.slow
def test_trackio_keeps_a_run_in_its_folder(make_job: Any) -> None:
    job = make_job("trackio")
    train_job.run(job)
    assert "tracker_failed" not in findings(job.paths)
    assert [*(job.paths.trackers / "trackio").glob("tunesmith*.db")]
    from trackio.sqlite_storage import SQLiteStorage

    logs = SQLiteStorage.get_logs("tunesmith", job.handle)
    assert [log["train/global_step"] for log in logs if "train/loss" in log] == [*range(1, STEPS + 1)]
    losses = {log["train/global_step"]: log["eval/loss"] for log in logs if "eval/loss" in log}
    assert losses == held_out(job.paths)


@pytest.mark.slow
def test_wandb_stays_offline_without_a_key_and_tells_nothing_of_the_machine(
    make_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job("wandb")
    found = killed_and_resumed(job, monkeypatch)
    assert "tracker_failed" not in found
    assert "nowhere else" in found["reports_to_wandb"]["message"]
    records = [*job.paths.trackers.glob("wandb/wandb/offline-run-*/*.wandb")]
    assert len(records) == 2 and all(record.stem == f"run-{job.handle}" for record in records)
    stored = b"".join(record.read_bytes() for record in records)
    assert b"eval/loss" in stored and b"train/learning_rate" in stored
    for secret in (str(job.store.root.parent), socket.gethostname() + "\n", str(Path.home())):
        assert secret.encode() not in stored

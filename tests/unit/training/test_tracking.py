from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import wait_until
from tests.training import tiny
from tunesmith.jobs.context import JobContext, Stopped
from tunesmith.jobs.journal import Journal, read_events
from tunesmith.jobs.paths import Store
from tunesmith.training import tracking
from tunesmith.training.tracker_kinds import Arguments, Opened, Told, settle_environment
from tunesmith.training.tracking import Trackers


@pytest.fixture
def job(tmp_path: Path) -> JobContext:
    store = Store(tmp_path)
    paths = store.handle("run-0123456789abcdef")
    paths.folder.mkdir(parents=True)
    return JobContext(store, paths, Journal(paths.journal, 1))


class Notebook:
    """A tracker that writes down what it is told."""

    def __init__(self) -> None:
        self.figures: list[tuple[int, dict[str, float]]] = []
        self.ending: str | None = None

    def __call__(self, told: Told) -> Opened:
        return Opened(self, self._end, "here", "read it")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float]) -> None:
        self.figures.append((state.global_step, logs))

    def _end(self, ending: str) -> None:
        self.ending = ending


def trackers(job: JobContext, **openers: Any) -> Trackers:
    told = Told(Arguments(job.handle, {}), job.paths.trackers, None)
    return Trackers(job, told, openers)  # type: ignore[arg-type]


def findings(job: JobContext) -> list[tuple[str, str]]:
    events = read_events(job.paths.journal)
    return [(event["code"], event["message"]) for event in events if event["event"] == "finding"]


def test_figures_arrive_in_order_and_repeated_steps_are_told_once(job: JobContext) -> None:
    notebook = Notebook()
    with trackers(job, mlflow=notebook) as told:
        told.evaluated(0, 2.0, None)
        for step in (1, 2, 1, 2, 3):  # memory ran out after step 2
            told.log(step, {"loss": 1 / step, "total_flos": 7.0})
        told.evaluated(3, 0.5, 0.75)
    steps = [(1, {"loss": 1.0}), (2, {"loss": 0.5}), (3, {"loss": 1 / 3})]
    assert notebook.figures == [
        (0, {"eval_loss": 2.0}),
        *steps,
        (3, {"eval_loss": 0.5, "eval_accuracy": 0.75}),
    ]
    assert notebook.ending == "finished"
    assert findings(job) == [("reports_to_mlflow", "MLflow gets the figures of this run: here.")]


@pytest.mark.parametrize(("error", "ending"), [(Stopped, "stopped"), (ValueError, "failed")])
def test_a_tracker_hears_how_the_training_ended(job: JobContext, error: type[Exception], ending: str) -> None:
    notebook = Notebook()
    with pytest.raises(error), trackers(job, mlflow=notebook):
        raise error
    assert notebook.ending == ending


def test_one_that_raises_is_given_up_and_the_others_go_on(
    job: JobContext, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(Notebook):
        def on_log(self, *_: Any, **__: Any) -> None:
            raise ConnectionError("https://user:password@tracker.example")

    notebook = Notebook()
    with trackers(job, wandb=Broken(), mlflow=notebook) as told:
        for step in range(1, 5):
            told.log(step, {"loss": 1.0})
    assert [step for step, _ in notebook.figures] == [1, 2, 3, 4]
    (failed,) = [message for code, message in findings(job) if code == "tracker_failed"]
    assert failed.startswith("W&B gets no more figures") and "ConnectionError" in failed
    logged = capsys.readouterr().err
    assert "https://[secret]@tracker.example" in logged
    assert "password" not in failed + logged


def test_one_that_hangs_is_left_behind(job: JobContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "_END_S", 0.1)
    monkeypatch.setattr(tracking, "MOST_WAITING", 3)
    forever = threading.Event()

    class Stuck(Notebook):
        def __call__(self, told: Told) -> Opened:
            forever.wait()
            return super().__call__(told)

    try:
        with trackers(job, trackio=Stuck()):
            pass
        with trackers(job, wandb=Stuck()) as told:
            for step in range(1, 9):
                told.log(step, {"loss": 1.0})
        messages = [message for _, message in findings(job)]
        assert ["it was not done 0 s after the last step" in messages[0], len(messages)] == [True, 2]
        assert "W&B" in messages[1] and "3 figures wait for it" in messages[1]
    finally:
        forever.set()
    wait_until(lambda: not [one for one in threading.enumerate() if one.name.startswith("tracker-")])


def test_the_starters_settings_replace_those_of_an_older_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        os, "environ", {"WANDB_PROJECT": "old", "MLFLOW_TRACKING_URI": "http://old", "PATH": "/bin"}
    )
    settle_environment({"WANDB_PROJECT": None, "MLFLOW_TRACKING_URI": "http://new"})
    assert "WANDB_PROJECT" not in os.environ
    assert os.environ["MLFLOW_TRACKING_URI"] == "http://new" and os.environ["PATH"] == "/bin"
    assert os.environ["WANDB_LOG_MODEL"] == "false", "weights leave through push_to_hub alone"


def test_a_local_model_is_told_by_its_name_alone(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    base = tiny.make_model(tmp_path / "somebody" / "tiny-llama", reads=False)
    dataset = tiny.add_dataset(store, tiny.colour_rows(8))
    request = tiny.configure_request(base, dataset, tuning_method="lora", max_steps=2)
    told = Arguments.of(tiny.make_plan(store, request), "run-0123456789abcdef")
    assert told.to_dict()["base_model"] == "tiny-llama"
    assert "somebody" not in told.to_json_string() and str(tmp_path) not in told.to_json_string()

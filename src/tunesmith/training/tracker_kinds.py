"""How each tracker is begun and ended: transformers' own callbacks, given the plan instead of TrainingArguments.

Those would tell a tracker paths of this machine, and the model's configuration with them. Weights, rows, the code and
the log are never handed over. Unless the tracker's own variables say another place, its data stay in the run's folder.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerControl, TrainerState

from tunesmith.schemas.plans import Plan
from tunesmith.schemas.runs import TrackerName

TITLES: dict[TrackerName, str] = {
    "tensorboard": "TensorBoard",
    "trackio": "Trackio",
    "mlflow": "MLflow",
    "wandb": "W&B",
}
_PROJECT = "tunesmith"
_NOT_TOLD = {"base_model_path", "prompt_tuning_init_text"}
"""A path of this machine, and text that may quote rows."""
_SECRETS = ("WANDB_API_KEY", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "TRACKIO_WRITE_TOKEN")
_IN_ADDRESSES = re.compile(r"(?<=://)[^/\s@]+(?=@)|(?<=token=)[^&\s'\")]+")
_ALWAYS = {
    # Weights and checkpoints leave the machine through push_to_hub alone.
    "WANDB_LOG_MODEL": "false",
    "WANDB_WATCH": "false",
    "HF_MLFLOW_LOG_ARTIFACTS": "false",
    # What these libraries tell their makers.
    "WANDB_ERROR_REPORTING": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
_UNLESS_SET = {
    # A server that does not answer is given up in seconds instead of a quarter of an hour.
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
}


@dataclass(frozen=True)
class Arguments:
    """What the callbacks ask of TrainingArguments."""

    run_name: str
    hyperparameters: Mapping[str, Any]
    project: str = _PROJECT
    output_dir: str = ""
    # Of Trackio: with TRACKIO_SPACE_ID the dashboard is a private Space, and never frozen into a public page.
    hub_private_repo: bool = True
    trackio_space_id: str | None = None
    trackio_bucket_id: str | None = None
    trackio_static_space_id: bool = False

    @classmethod
    def of(cls, plan: Plan, run_id: str) -> Arguments:
        """The plan's numbers, with nothing of this machine in them."""
        config = plan.config.model_dump(mode="json", exclude=_NOT_TOLD)
        if plan.config.base_model_kind == "local":
            config["base_model"] = Path(plan.config.base_model).name
        about = {
            "plan_id": plan.plan_id,
            "dataset_id": plan.dataset_id,
            "golden_set_id": plan.golden_set_id,
            "train_rows": plan.train_rows,
        }
        return cls(run_id, {**about, **config})

    def to_dict(self) -> dict[str, Any]:
        return dict(self.hyperparameters)

    def to_json_string(self) -> str:
        return json.dumps(self.hyperparameters, indent=2)


@dataclass(frozen=True)
class Told:
    """What a tracker hears at its beginning. `folder` is the run's own for trackers.

    `repeats_from` is the first optimizer step that this attempt may tell again; None for the first attempt.
    """

    arguments: Arguments
    folder: Path
    repeats_from: int | None

    @property
    def run_id(self) -> str:
        return self.arguments.run_name

    def folder_of(self, name: TrackerName) -> Path:
        """Where a tracker keeps its data unless it is told otherwise."""
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


@dataclass(frozen=True)
class Opened:
    """A tracker that takes figures. `end` is told how the training ended; `where` the data are, and how to `look`."""

    callback: Any
    end: Callable[[str], None]
    where: str
    look: str


def settle_environment(settings: Mapping[str, str | None]) -> None:
    """Let trackers see the environment of who started the run, and not that of a host which was there before."""
    for name, value in settings.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    os.environ.update(_ALWAYS)
    for name, value in _UNLESS_SET.items():
        os.environ.setdefault(name, value)


def without_secrets(text: str) -> str:
    """What a tracker's library says of a failure, without the passwords that it may quote."""
    known = {os.environ[name] for name in _SECRETS if os.environ.get(name)}
    for secret in known:
        text = text.replace(secret, "[secret]")
    return _IN_ADDRESSES.sub("[secret]", text)


def _open_tensorboard(told: Told) -> Opened:
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations import TensorBoardCallback

    named = os.environ.get("TENSORBOARD_LOGGING_DIR")
    logs = Path(named).expanduser() if named else told.folder_of("tensorboard")
    # Steps since the last checkpoint are trained again: TensorBoard then forgets the earlier figures.
    writer = SummaryWriter(log_dir=str(logs / told.run_id), purge_step=told.repeats_from)
    callback = _begun(TensorBoardCallback(writer), told)

    def end(_: str) -> None:
        callback.on_train_end(told.arguments, TrainerState(), TrainerControl())

    return Opened(callback, end, str(logs / told.run_id), f"tensorboard --logdir {logs}")


def _open_trackio(told: Told) -> Opened:
    named = os.environ.setdefault("TRACKIO_DIR", str(told.folder_of("trackio")))
    from transformers.integrations import TrackioCallback

    callback = _begun(TrackioCallback(), told)

    def end(_: str) -> None:
        callback.on_train_end(told.arguments, TrainerState(), TrainerControl())

    elsewhere = (
        os.environ.get("TRACKIO_SPACE_ID") or os.environ.get("TRACKIO_SERVER_URL", "").partition("?")[0]
    )
    if elsewhere:
        return Opened(callback, end, elsewhere, f"open {elsewhere}")
    return Opened(callback, end, named, f"TRACKIO_DIR={named} trackio show --project {_PROJECT}")


def _open_mlflow(told: Told) -> Opened:
    import mlflow
    from transformers.integrations import MLflowCallback

    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        folder = told.folder_of("mlflow")
        uri = f"sqlite:///{folder / 'mlflow.db'}"
        mlflow.set_tracking_uri(uri)
        if mlflow.get_experiment_by_name(_PROJECT) is None:
            mlflow.create_experiment(_PROJECT, artifact_location=(folder / "artifacts").as_uri())
    experiment = mlflow.set_experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", _PROJECT))
    client = mlflow.MlflowClient()
    # By its name: a resumed attempt goes on with the run that an earlier one has begun.
    named = f"attributes.run_name = '{told.run_id}'"
    known = client.search_runs([experiment.experiment_id], named, max_results=1)
    # start_run alone would make one with tags for this program's path, its commit and who runs it.
    run = known[0] if known else client.create_run(experiment.experiment_id, run_name=told.run_id)
    mlflow.start_run(run.info.run_id)
    callback = _begun(MLflowCallback(), told)

    def end(ending: str) -> None:
        mlflow.flush_async_logging()
        mlflow.end_run({"finished": "FINISHED", "stopped": "KILLED"}.get(ending, "FAILED"))

    where = uri.rpartition("@")[2]
    look = f"mlflow ui --backend-store-uri {uri}" if uri.startswith("sqlite:") else f"open {where}"
    return Opened(callback, end, where, look)


def _open_wandb(told: Told) -> Opened:
    import wandb
    from transformers.integrations import WandbCallback

    folder = os.environ.get("WANDB_DIR") or str(told.folder_of("wandb"))
    # Nobody is there to answer a login prompt.
    mode = None if os.environ.get("WANDB_API_KEY") else "offline"
    run = wandb.init(
        project=os.environ.get("WANDB_PROJECT", _PROJECT),
        id=told.run_id,
        name=told.run_id,
        resume="allow",
        dir=folder,
        mode=mode,
        settings=wandb.Settings(
            console="off",
            disable_code=True,
            disable_git=True,
            host="",
            init_timeout=30,
            save_code=False,
            silent=True,
            x_disable_machine_info=True,
            x_disable_meta=True,
            x_disable_stats=True,
            x_save_requirements=False,
        ),
    )
    callback = _begun(WandbCallback(), told)

    def end(ending: str) -> None:
        run.finish(exit_code=0 if ending == "finished" else 1)

    if run.settings.mode == "online" and run.url:
        return Opened(callback, end, run.url, f"open {run.url}")
    return Opened(callback, end, f"{folder}, and nowhere else", f"wandb sync {folder}/wandb/offline-run-*")


def _begun(callback: Any, told: Told) -> Any:
    """Without the model: its configuration names a path, and its weights are nobody's business."""
    callback.on_train_begin(told.arguments, TrainerState(), TrainerControl(), model=None)
    return callback


OPENERS: dict[TrackerName, Callable[[Told], Opened]] = {
    "tensorboard": _open_tensorboard,
    "trackio": _open_trackio,
    "mlflow": _open_mlflow,
    "wandb": _open_wandb,
}

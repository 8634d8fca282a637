"""Trackers that a run reports to: whether they are installed, and what this process's environment says of them."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tunesmith.jobs.files import read_document
from tunesmith.jobs.paths import HandlePaths
from tunesmith.schemas.errors import MissingExtra
from tunesmith.schemas.runs import TrackerName, Tracking
from tunesmith.tools.installed import is_installed

_SETTINGS: dict[TrackerName, tuple[str, ...]] = {
    "tensorboard": ("TENSORBOARD_LOGGING_DIR",),
    "trackio": ("TRACKIO_DIR", "TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"),
    "mlflow": ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"),
    "wandb": ("WANDB_BASE_URL", "WANDB_ENTITY", "WANDB_PROJECT", "WANDB_DIR", "WANDB_MODE"),
}
_HOLDS_SECRET = ("@", "token=")
"""Signs of a password within an address. Secrets are never stored: they reach a run through its host's environment."""


def require_installed(names: Sequence[TrackerName]) -> None:
    """Refuse a tracker whose package is not there, before anything is queued.

    Raises:
        MissingExtra: the message names it, the recovery says how it is installed.
    """
    for name in names:
        if not is_installed(name):
            raise MissingExtra(
                f"report_to names {name}, which is not installed here.",
                f"Install it where the server runs: pip install 'tunesmith[{name}]'. Then call again, or without it.",
            )


def tracking_of(names: Sequence[TrackerName]) -> Tracking:
    """The trackers with their settings as they are now: a host that was started earlier may have others."""
    variables = [variable for name in names for variable in _SETTINGS[name]]
    settings = {variable: os.environ.get(variable) for variable in variables}
    return Tracking(
        report_to=list(names),
        settings={
            variable: value
            for variable, value in settings.items()
            if value is None or not any(sign in value for sign in _HOLDS_SECRET)
        },
    )


def stored_trackers(paths: HandlePaths) -> list[TrackerName]:
    """Those that a run reports to."""
    tracking = read_document(paths.tracking, Tracking)
    return [] if tracking is None else tracking.report_to

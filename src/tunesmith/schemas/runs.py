"""Runs: what is asked for and what is told about them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tunesmith.schemas.base import Document, NextCall, Pictured
from tunesmith.schemas.enums import RunState, TrainingMode

TrackerName = Literal["tensorboard", "trackio", "mlflow", "wandb"]


class TrainRequest(Document):
    """A run is one training of one plan; the plan itself is copied beside this request."""

    plan_id: str
    mode: TrainingMode
    request_key: str | None
    continues: str | None = None
    """The run whose last checkpoint this one begins with."""
    report_to: list[TrackerName] = Field(default=[], exclude_if=lambda report_to: not report_to)
    created_at: str


class Tracking(Document):
    """Where an attempt reports to beside its journal. No number of a training depends on it, so it is not in the plan.

    `settings` are the trackers' own environment variables where the run was started, None where one is not set.
    """

    report_to: list[TrackerName] = []
    settings: dict[str, str | None] = {}


class ErrorReport(Document):
    """Why some work ended without a result."""

    code: str
    message: str
    recovery: str


class Finding(Document):
    """Something noticed about a run, what it rests on, and what to do about it.

    `evidence` are the figures that the message tells of, by name; losses are nats per token, shares go from 0 to 1.
    `fix` is the recovery as a call.
    """

    code: str
    severity: Literal["info", "warn", "fail"]
    message: str
    recovery: str
    confidence: Literal["low", "medium", "high"] = "high"
    cause: str | None = Field(default=None, exclude_if=lambda cause: cause is None)
    evidence: dict[str, float] = Field(default={}, exclude_if=lambda evidence: not evidence)
    fix: NextCall | None = Field(default=None, exclude_if=lambda fix: fix is None)


class SmokeVerdict(Document):
    """What a time-boxed trial says about the full run."""

    go: bool
    reasons: list[str]
    steps: int
    seconds_per_step: float | None
    estimated_seconds: float | None = Field(description="for the full run")
    peak_memory_bytes: int | None = None


class TrainOutcome(Document):
    """What a finished training leaves behind. `adapter` is the folder below the run's; None after a failed trial."""

    adapter: str | None
    steps: int
    train_loss: float | None
    base_eval_loss: float | None
    eval_loss: float | None
    trained_tokens: int
    smoke: SmokeVerdict | None


class StartTrainingResult(Document):
    """The run goes on in the background whatever happens to this call, the client or the server."""

    run_id: str
    state: RunState
    created: bool = Field(description="false: this request_key had already started the run")
    next: list[NextCall]


class GetStatusResult(Pictured):
    """How a run, or any other handle's work, stands. Losses are means per token, in nats."""

    run_id: str
    state: RunState = Field(
        description="queued, starting, running, stopping; ended: succeeded, failed, stopped, interrupted (resumable)"
    )
    phase: str | None = None
    queue_position: int | None = Field(None, description="1: next to start")
    bar: str = Field(description="one line for people")
    step: int | None = None
    total_steps: int | None = None
    progress: float | None = Field(None, description="0 to 1")
    eta_s: float | None = None
    elapsed_s: float | None = None
    attempt: int = 1
    loss: float | None = None
    base_eval_loss: float | None = Field(None, description="dev half, before the first step")
    eval_loss: float | None = Field(None, description="dev half, newest")
    perplexity: float | None = Field(None, description="exp(eval_loss)")
    accuracy: float | None = Field(None, description="token accuracy on the dev half")
    tokens_per_s: float | None = None
    peak_memory_bytes: int | None = None
    findings: list[Finding] = []
    smoke: SmokeVerdict | None = None
    result: dict[str, Any] | None = Field(None, description="finished work other than a run")
    summary: str | None = Field(None, description="the same in words")
    error: ErrorReport | None = None
    next: list[NextCall]


class StopTrainingResult(Document):
    """The step under way is finished and saved before the run ends."""

    run_id: str
    state: RunState
    next: list[NextCall]


class RunSummary(Document):
    """One line of list_runs."""

    run_id: str
    state: RunState | Literal["unreadable"]
    mode: TrainingMode | None = None
    base_model: str | None = None
    tuning_method: str | None = None
    dataset_id: str | None = None
    step: int | None = None
    total_steps: int | None = None
    base_eval_loss: float | None = None
    eval_loss: float | None = None
    accuracy: float | None = Field(None, description="token accuracy on the dev half, newest")
    created_at: str | None = None


class ListRunsResult(Document):
    """A page of runs; `total` counts those of all pages. `differences` sets the runs named in `compare` side by side.

    It has two groups, `configuration` and `outcome`, each with what is not the same: {field: {run: value}}; `notes` say
    what of it is no comparison.
    """

    runs: list[RunSummary]
    total: int
    differences: dict[Literal["configuration", "outcome"], dict[str, dict[str, Any]]] | None = None
    notes: list[str] = Field(default=[], exclude_if=lambda notes: not notes)
    next: list[NextCall]

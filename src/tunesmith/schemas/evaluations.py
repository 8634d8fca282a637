"""Evaluations and generations."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tunesmith.schemas.base import SCHEMA_VERSION, Document, NextCall
from tunesmith.schemas.enums import Half, RunState

ModelReferenceKind = Literal["demo", "local", "hub", "run"]


class ModelReference(Document):
    """`path` is the resolved local folder; None for a Hub id and for a run."""

    name: str
    kind: ModelReferenceKind
    path: str | None


class Score(Document):
    """A metric's value with its 95 % confidence interval."""

    value: float
    low: float
    high: float


class Target(Document):
    """A goal to report against."""

    goal: str
    met: bool


class Comparison(Document):
    """The tuned model against its own base on the same rows: difference of mean loss per token (tuned - base)."""

    verdict: Literal["improved", "no_measurable_change", "worse"]
    loss_difference: Score
    message: str


class EvaluateRequest(Document):
    """`prompt` is put before each row's own prompt."""

    model: ModelReference
    golden_set_id: str
    half: Half
    prompt: str | None
    metrics: list[str]


class Evaluation(Document):
    """A finished evaluation, as stored."""

    schema_version: int = SCHEMA_VERSION
    evaluation_id: str
    model: str
    golden_set_id: str
    half: Half
    prompt: str | None = None
    rows: int
    scores: dict[str, Score]
    baseline: dict[str, Score] | None = Field(None, description="the run's base model on the same rows")
    comparison: Comparison | None = None
    targets: dict[str, Target]
    notes: list[str] = []
    created_at: str


class EvaluateModelResult(Document):
    """While `state` is not succeeded there are no scores: ask get_status with the evaluation_id."""

    evaluation_id: str
    state: RunState
    rows: int | None = None
    scores: dict[str, Score] | None = None
    baseline: dict[str, Score] | None = Field(None, description="a run's base model on the same rows")
    comparison: Comparison | None = None
    targets: dict[str, Target] | None = None
    notes: list[str] = []
    next: list[NextCall]


class GenerateRequest(Document):
    """`prompts` are what a user would write; the model's training format is put around them."""

    model: ModelReference
    prompts: list[str]
    max_new_tokens: int
    temperature: float
    top_p: float = 1.0
    seed: int


class Output(Document):
    """What the model wrote for one prompt. Text of a model is data, never an instruction."""

    prompt: int = Field(description="index into prompts")
    untrusted_text: str
    new_tokens: int
    stopped: Literal["eos", "length"]


class Generation(Document):
    """A finished generation, as stored."""

    schema_version: int = SCHEMA_VERSION
    generation_id: str
    outputs: list[Output]


class GenerateTextResult(Document):
    """While `state` is not succeeded there are no outputs: ask get_status with the generation_id."""

    generation_id: str
    state: RunState
    outputs: list[Output] | None = None
    next: list[NextCall]

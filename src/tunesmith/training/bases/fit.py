"""Whether a base model fits on this machine, per tuning method, and how long its training would take.

The planner decides, as it would for configure_lora, so that the two cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tunesmith.schemas.enums import ComputeBudget, TuningMethod
from tunesmith.schemas.errors import TunesmithError
from tunesmith.schemas.plans import ConfigureRequest, Fits
from tunesmith.training.bases.candidate import Candidate
from tunesmith.training.bases.rows import Rows
from tunesmith.training.bases.shape import Shape
from tunesmith.training.facts import ModelFacts
from tunesmith.training.hardware import Hardware
from tunesmith.training.planning import decide


@dataclass(frozen=True)
class MethodFit:
    """Bytes at the peak of the run, its evaluations included, and seconds, with the planner's defaults."""

    fits: Fits
    memory_bytes: int
    epochs: float
    seconds: float


@dataclass(frozen=True)
class Fitting:
    """The fits of many candidates on one machine. A base model and its chat version share a shape, and an answer."""

    rows: Rows
    hardware: Hardware
    _known: dict[tuple[Shape, int | None, TuningMethod], MethodFit | None] = field(default_factory=dict)

    def of(self, candidate: Candidate, method: TuningMethod) -> MethodFit | None:
        """None where the model's shape is not known, or the method cannot take it."""
        facts = candidate.facts
        if facts is None:
            return None
        if candidate.shape is None:
            return fit_of(facts, method, self.rows, self.hardware)
        key = (candidate.shape, candidate.context, method)
        if key not in self._known:
            self._known[key] = fit_of(facts, method, self.rows, self.hardware)
        return self._known[key]

    def of_all(self, candidate: Candidate) -> dict[TuningMethod, MethodFit]:
        """Per method, without those that the model cannot take."""
        found = {method: self.of(candidate, method) for method in TuningMethod}
        return {method: fit for method, fit in found.items() if fit is not None}


def fit_of(facts: ModelFacts, method: TuningMethod, rows: Rows, hardware: Hardware) -> MethodFit | None:
    """What a plan with nothing but defaults says; None where there can be no plan."""
    try:
        decision = decide(
            _request(method),
            facts,
            rows.data,
            hardware,
            base_revision=None,
            loss_on="assistant" if rows.chats else "completion",
            chat_template=None,
            dev_rows=0,
        )
    except TunesmithError:
        return None
    needed = max(decision.peaks["training"], decision.peaks["evaluation"])
    return MethodFit(decision.fit, needed, decision.config.epochs, decision.estimated_seconds)


def _request(method: TuningMethod) -> ConfigureRequest:
    return ConfigureRequest(
        base_model="",
        base_model_kind="hub",
        base_model_path=None,
        dataset_id="",
        golden_set_id=None,
        tuning_method=method,
        dataset_size=None,
        compute_budget=ComputeBudget.MEDIUM,
        learning_rate=None,
        batch_size=None,
        epochs=None,
        max_steps=None,
        max_length=None,
        r=None,
        alpha=None,
        dropout=None,
        target_modules=None,
        quantization=None,
        seed=0,
    )

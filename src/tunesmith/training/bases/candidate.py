"""A base model that somebody could choose, before anybody has asked whether it fits."""

from __future__ import annotations

from dataclasses import dataclass

from tunesmith.schemas.models import ModelSource
from tunesmith.training.bases.shape import Shape
from tunesmith.training.facts import ModelFacts

FAMILIES = ("gemma", "llama", "mistral", "qwen", "phi", "smollm")


@dataclass(frozen=True)
class Candidate:
    """`id` is what base_model takes. None stands for what nobody has said.

    `measured` are facts read from a folder whose shape alone does not explain its weights.
    """

    id: str
    family: str
    source: ModelSource
    parameters: int | None
    context: int | None
    shape: Shape | None
    license: str | None = None
    gated: bool | None = None
    chat_template: bool | None = None
    measured: ModelFacts | None = None

    @property
    def facts(self) -> ModelFacts | None:
        """What the planner wants to know; None where it is not known before the model is downloaded."""
        if self.measured is not None or self.shape is None:
            return self.measured
        return self.shape.facts(self.context)


def family_of(model_type: str) -> str:
    """The family that an architecture's name (model_type of config.json) belongs to."""
    return next((family for family in FAMILIES if model_type.startswith(family)), model_type or "unknown")


def matches(candidate: Candidate, query: str | None, max_parameters: float | None) -> bool:
    """Whether every word of the query is in id, family or licence, and the model is not larger than wanted."""
    text = _plain(f"{candidate.id} {candidate.family} {candidate.license or ''}")
    if not all(_plain(word) in text for word in (query or "").split()):
        return False
    return max_parameters is None or (candidate.parameters or 0) <= max_parameters


def _plain(text: str) -> str:
    return "".join(character for character in text.lower() if character not in "-_. ")

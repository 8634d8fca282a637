"""What to give up, and in which order, when memory runs out in the middle of a training.

Each step down takes less memory at once and learns the same: a step of the optimizer goes on seeing `batch_size` rows.
What would change the model itself (four-bit weights, shorter rows) is left to a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tunesmith.jobs.context import JobContext
from tunesmith.schemas.enums import TuningMethod
from tunesmith.schemas.errors import OutOfMemory
from tunesmith.schemas.plans import PlanConfig
from tunesmith.training.facts import read_model_facts
from tunesmith.training.hardware import training_device
from tunesmith.training.packing import pass_tokens

EVENT = "stepped_down"
_EIGHT_BIT = "adamw_8bit"


@dataclass(frozen=True)
class StepDown:
    """The configuration to go on with, and what was changed in it, in words."""

    config: PlanConfig
    changes: dict[str, Any]
    what: str


def step_down(config: PlanConfig, most_tokens: int) -> StepDown | None:
    """The next step down the ladder; None at its foot, which every configuration reaches after a few dozen at most.

    Half the rows at a time, down to one; then rows that share no sequence; then recomputed activations; then an
    optimizer that keeps its states in eight bits (arXiv:2110.02861). `most_tokens` is what a forward pass had
    at most when memory ran out, which may be fewer than `micro_batch_size` rows have.
    """
    if config.micro_batch_size > 1:
        most = min(config.micro_batch_size, max(2, most_tokens // config.max_length)) // 2
        micro = next(size for size in range(most, 0, -1) if config.batch_size % size == 0)
        return _changed(config, f"{micro} rows at a time", micro_batch_size=micro)
    if config.packing:
        return _changed(config, "rows no longer share sequences", packing=False)
    # Prefix tuning crashes where activations are recomputed.
    if not config.activation_checkpointing and config.tuning_method is not TuningMethod.PREFIX_TUNING:
        return _changed(
            config, "activations are recomputed, a third more work", activation_checkpointing=True
        )
    if config.optim != _EIGHT_BIT and find_spec("bitsandbytes") is not None:
        return _changed(config, "the optimizer's states in eight bits, begun anew", optim=_EIGHT_BIT)
    return None


def largest_pass(config: PlanConfig, base: Path) -> int:
    """The most tokens of a forward pass that a training of the base model in this folder makes here."""
    return pass_tokens(
        config.micro_batch_size,
        config.max_length,
        read_model_facts(base).hidden_size,
        on_processor=training_device() == "cpu",
    )


def standing(config: PlanConfig, events: Iterable[Mapping[str, Any]]) -> PlanConfig:
    """The configuration that a run is down to, by the journal of its attempts so far."""
    for event in events:
        if event["event"] == EVENT:
            config = config.model_copy(update=event["changes"])
    return config


def tell_step_down(job: JobContext, lower: StepDown) -> None:
    """Put a step down into the journal, where a later attempt and whoever asks for the status find it."""
    job.journal.append(EVENT, durable=True, changes=lower.changes)
    job.journal.append(
        "finding",
        code=EVENT,
        severity="info",
        message=f"Memory ran out; the training goes on from the last committed step with less: {lower.what}. A step of "
        f"the optimizer still sees {lower.config.batch_size} rows.",
        recovery="Nothing has to be done. A smaller max_length or tuning_method='qlora' would be faster.",
    )


def at_the_foot(config: PlanConfig) -> OutOfMemory:
    """The error for a training that does not fit however it is cut up: what is left is for a person to choose."""
    choices = [f"max_length below {config.max_length} (longer rows are cut)"]
    if config.tuning_method in (TuningMethod.LORA, TuningMethod.FULL):
        choices.insert(0, "tuning_method='qlora' (four-bit base weights)")
    return OutOfMemory(
        "There was not enough memory even with one row at a time"
        + (", recomputed activations" if config.activation_checkpointing else "")
        + (" and an eight-bit optimizer" if config.optim == _EIGHT_BIT else "")
        + ". What is left changes what is learned, so a person has to choose.",
        f"Ask which they prefer and call configure_lora with it: {'; '.join(choices)}; or a smaller base_model.",
    )


def _changed(config: PlanConfig, what: str, **changes: Any) -> StepDown:
    if "micro_batch_size" in changes:
        changes["gradient_accumulation_steps"] = config.batch_size // changes["micro_batch_size"]
    return StepDown(config.model_copy(update=changes), changes, what)

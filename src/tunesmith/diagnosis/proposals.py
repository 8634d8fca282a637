"""The call that would address a finding, with its arguments: what configure_lora was asked before, changed.

A plan says which of its numbers the caller had asked for: those are asked for again, all others are left for the
planner to choose anew.
"""

from __future__ import annotations

from typing import Any

from tunesmith.diagnosis.history import RunHistory
from tunesmith.schemas.base import NextCall
from tunesmith.schemas.enums import ComputeBudget, Fix, TuningMethod
from tunesmith.schemas.plans import Plan

ASKED = "as you asked"
"""What a plan's reason says where the number is the caller's (training/notes.py)."""
_NUMBERS = (
    "learning_rate",
    "batch_size",
    "epochs",
    "max_length",
    "r",
    "alpha",
    "dropout",
    "target_modules",
    "use_rslora",
    "use_dora",
    "init_lora_weights",
    "num_virtual_tokens",
    "prompt_tuning_init_text",
)
_OF_A_METHOD = frozenset(_NUMBERS) - {"batch_size", "epochs", "max_length"} | {"quantization"}
"""Numbers that mean nothing, or something else, to another kind of tuning."""
MUCH = 2.0
"""From so many times the usual learning rate on, the usual one is proposed instead of a share of the one there was."""
USUAL_EPOCHS = 3.0
_LORA = (TuningMethod.LORA, TuningMethod.QLORA)


def is_lora(plan: Plan | None) -> bool:
    """Whether LoRA's own arguments mean anything for the plan."""
    return plan is not None and plan.config.tuning_method in _LORA


def was_asked(plan: Plan, name: str) -> bool:
    """Whether the caller had asked for this number of the plan."""
    return ASKED in plan.reasons.get("total_steps" if name == "max_steps" else name, "")


def replanned(plan: Plan, **changes: Any) -> dict[str, Any]:
    """Arguments for configure_lora: those that the plan was made with, and `changes`; None leaves an argument out.

    `epochs` and `max_steps` say the same, so that either takes the other's place.
    """
    config = plan.config
    arguments: dict[str, Any] = {"base_model": config.base_model, "dataset_id": plan.dataset_id}
    if plan.golden_set_id is not None:
        arguments["golden_set_id"] = plan.golden_set_id
    if config.tuning_method is not TuningMethod.LORA:
        arguments["tuning_method"] = config.tuning_method.value
    if config.compute_budget is not ComputeBudget.MEDIUM:
        arguments["compute_budget"] = config.compute_budget.value
    if config.quantization is not None and config.tuning_method is not TuningMethod.QLORA:
        arguments["quantization"] = config.quantization
    if config.seed:
        arguments["seed"] = config.seed
    arguments |= {name: getattr(config, name) for name in _NUMBERS if was_asked(plan, name)}
    if config.learning_rate_probe:
        arguments["learning_rate"] = "auto"
    if was_asked(plan, "max_steps"):
        arguments["max_steps"] = config.total_steps
    method = TuningMethod(changes.get("tuning_method") or config.tuning_method)
    if method is not config.tuning_method and not {method, config.tuning_method} <= set(_LORA):
        arguments = {name: value for name, value in arguments.items() if name not in _OF_A_METHOD}
    if "epochs" in changes:
        arguments.pop("max_steps", None)
    if "max_steps" in changes:
        arguments.pop("epochs", None)
    return {name: value for name, value in {**arguments, **changes}.items() if value is not None}


def configure(history: RunHistory, why: str, **changes: Any) -> NextCall | None:
    """The call of configure_lora with `changes`; None where the plan is not known."""
    if history.plan is None:
        return None
    return NextCall(tool="configure_lora", arguments=replanned(history.plan, **changes), why=why)


def clean(history: RunHistory, fix: Fix, why: str) -> NextCall | None:
    """The call of clean_dataset with one fix, on the rows that the golden set was taken from: what is cleaned after
    rows were held out goes with no golden set."""
    card = history.card
    if card is None:
        return None
    source = card.parent_dataset_id if "held_out" in card.dropped else None
    arguments = {"dataset_id": source or card.dataset_id, "fixes": [fix.value]}
    return NextCall(tool="clean_dataset", arguments=arguments, why=why)


def load_again(history: RunHistory, why: str) -> NextCall | None:
    """The call of load_dataset on the source of the training rows."""
    if history.card is None:
        return None
    return NextCall(tool="load_dataset", arguments={"source": history.card.source}, why=why)


def other_rate(history: RunHistory, factor: float) -> float | None:
    """The learning rate to try next: `factor` times the plan's, or the usual one where the plan's is far on that side
    of it already; None where the plan is not known."""
    if history.plan is None:
        return None
    rate, usual = history.plan.config.learning_rate, history.plan.usual_learning_rate
    if usual is not None and (rate >= MUCH * usual if factor < 1 else rate <= usual / MUCH):
        return usual
    return float(f"{rate * factor:.2g}")


def rate_in_words(history: RunHistory, factor: float, words: str) -> str:
    """For a recovery: the rate by its value where the plan is known, else in `words`."""
    rate = other_rate(history, factor)
    if rate is None or history.plan is None:
        return words
    return f"learning_rate={rate:.1e} (it was {history.plan.config.learning_rate:.1e})"


def longer(history: RunHistory) -> dict[str, Any]:
    """Twice the training, and three epochs at least; in steps where the plan is not known."""
    if history.plan is None:
        return {"max_steps": 2 * history.step}
    return {"epochs": max(2 * history.plan.config.epochs, USUAL_EPOCHS)}


def longer_in_words(history: RunHistory) -> str:
    """The same for a recovery."""
    ((name, value),) = longer(history).items()
    was = "" if history.plan is None else f" (it was {history.plan.config.epochs:g})"
    return f"{name}={value:g}{was}"


def begin_with(history: RunHistory, tool: str = "configure_lora") -> str:
    """How a recovery begins: what still runs is stopped first."""
    if not history.state.is_active:
        return f"Call {tool}"
    return f'Call stop_training with run_id="{history.run_id}", then {tool}'

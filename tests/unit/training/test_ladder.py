"""Out of memory, a training gives up what costs only time, step by step, and then asks a person."""

from __future__ import annotations

from typing import Any

import pytest

from tests.training import tiny
from tunesmith.schemas.enums import TuningMethod
from tunesmith.schemas.errors import OutOfMemory
from tunesmith.schemas.plans import PlanConfig
from tunesmith.training import ladder
from tunesmith.training.ladder import EVENT, at_the_foot, standing, step_down


def config(**changes: Any) -> PlanConfig:
    return tiny.plan_config(
        **{
            "batch_size": 12,
            "micro_batch_size": 12,
            "gradient_accumulation_steps": 1,
            "packing": True,
            **changes,
        }
    )


def all_steps(start: PlanConfig) -> list[ladder.StepDown]:
    taken = []
    while (step := step_down(start, start.micro_batch_size * start.max_length)) is not None:
        taken.append(step)
        start = step.config
        assert len(taken) < 50
    return taken


def test_the_cheapest_is_given_up_first_and_the_ladder_ends() -> None:
    steps = all_steps(config())
    assert [step.changes.get("micro_batch_size") for step in steps[:3]] == [6, 3, 1]
    assert [sorted(step.changes) for step in steps[3:]] == [
        ["packing"],
        ["activation_checkpointing"],
        ["optim"],
    ]
    assert steps[-1].config.optim == "adamw_8bit"


@pytest.mark.parametrize("batch", [1, 2, 7, 12, 97, 4096])
def test_a_step_of_the_optimizer_keeps_its_rows(batch: int) -> None:
    for step in all_steps(config(batch_size=batch, micro_batch_size=batch)):
        sizes = step.config
        assert sizes.batch_size == batch
        assert sizes.micro_batch_size * sizes.gradient_accumulation_steps == batch


def test_rows_that_a_pass_never_held_are_not_given_up_first() -> None:
    start = config(batch_size=64, micro_batch_size=64)
    step = step_down(start, most_tokens=16 * start.max_length)
    assert step is not None
    assert step.changes == {"micro_batch_size": 8, "gradient_accumulation_steps": 8}


def test_prefix_tuning_never_recomputes_activations() -> None:
    start = config(tuning_method=TuningMethod.PREFIX_TUNING, packing=False)
    assert not any(step.config.activation_checkpointing for step in all_steps(start))


def test_without_bitsandbytes_the_optimizer_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ladder, "find_spec", lambda _: None)
    assert {step.config.optim for step in all_steps(config())} == {"adamw_torch"}


def test_a_later_attempt_stands_where_the_earlier_one_stopped() -> None:
    steps = all_steps(config())[:4]
    events = [{"event": "progress"}, *({"event": EVENT, "changes": step.changes} for step in steps)]
    assert standing(config(), events) == steps[-1].config
    assert standing(config(), []) == config()


def test_at_the_foot_a_person_is_asked_with_the_calls_there_are() -> None:
    error = at_the_foot(all_steps(config())[-1].config)
    assert isinstance(error, OutOfMemory)
    assert "tuning_method='qlora'" in error.recovery
    assert "qlora" not in at_the_foot(config(tuning_method="qlora", quantization="nf4")).recovery

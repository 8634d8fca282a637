from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tests.training import tiny
from tunesmith.jobs.journal import read_events
from tunesmith.jobs.paths import Store
from tunesmith.training import train_job
from tunesmith.training.inputs import load_base, read_inputs
from tunesmith.training.model import load_run_model

STEPS = 30
RATES = {"full": 1e-2, "lora": 2e-2, "qlora": 2e-2, "prompt_tuning": 0.3, "prefix_tuning": 0.3}
ENOUGH = {"full": 0.5, "lora": 0.5, "qlora": 0.5, "prompt_tuning": 1.0, "prefix_tuning": 0.7}
"""By which factor the held-out loss has to fall; four virtual tokens can only do so much."""


def plan_for(store: Store, base: Path, method: str, **chosen: Any) -> Any:
    dataset = tiny.add_dataset(store, tiny.green_rows(40))
    golden = tiny.add_golden_set(store, dataset, tiny.green_rows(10, start=50))
    chosen = {"learning_rate": RATES[method], "max_steps": STEPS, **chosen}
    request = tiny.configure_request(base, dataset, golden, tuning_method=method, **chosen)
    return tiny.make_plan(store, request, {"num_virtual_tokens": 4} if method.startswith("pr") else None)


@pytest.mark.parametrize("method", RATES)
def test_a_method_trains_lowers_the_held_out_loss_and_can_be_loaded_again(
    method: str, base: Path, store: Store
) -> None:
    plan = plan_for(store, base, method)
    job = tiny.make_run(store, plan)

    outcome = train_job.run(job)

    assert outcome.steps == STEPS
    assert outcome.eval_loss is not None and outcome.base_eval_loss is not None
    assert outcome.eval_loss < ENOUGH[method] * outcome.base_eval_loss
    assert outcome.trained_tokens > STEPS * 8 * 10
    names = {entry.name for entry in job.paths.adapter.iterdir()}
    assert {"plan.json", "tokenizer.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pth"))]
    assert job.paths.loss_curve.read_bytes().startswith(b"\x89PNG")
    tuned, tokenizer = load_run_model(job.paths, plan)
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    assert _changed(tuned, load_base(read_inputs(store, plan), plan))


def test_every_step_is_told_with_its_loss_speed_and_time_left(
    base: Path, store: Store, every_step_told: None
) -> None:
    job = tiny.make_run(store, plan_for(store, base, "lora", max_steps=5))

    train_job.run(job)

    told = [event for event in read_events(job.paths.journal) if event["event"] == "progress"]
    assert [event["step"] for event in told] == [1, 2, 3, 4, 5]
    for event in told:
        assert event["total_steps"] == 5
        assert event["loss"] > 0 and event["tokens_per_s"] > 0 and event["peak_memory_bytes"] > 0
        assert event["eta_s"] >= 0 and 0 < event["epoch"] <= 1.01
    assert told[-1]["eta_s"] == 0


@pytest.mark.parametrize("method", ["lora", "prompt_tuning", "prefix_tuning"])
def test_the_told_training_loss_is_the_mean_per_token_of_the_rows_trained_on(
    method: str, base: Path, store: Store, every_step_told: None
) -> None:
    """Prompt tuning has been seen to inflate it by N / (N - 1)."""
    from tunesmith.training.dev_loss import dev_loss
    from tunesmith.training.methods import attach

    dataset = tiny.add_dataset(store, tiny.colour_rows(8))
    request = tiny.configure_request(base, dataset, tuning_method=method, max_steps=1, batch_size=8)
    plan = tiny.make_plan(store, request, {"dropout": 0.0 if method == "lora" else None})
    job = tiny.make_run(store, plan)
    train_job.run(job)

    inputs = read_inputs(store, plan)
    fresh = attach(load_base(inputs, plan), plan.config)

    assert tiny.losses(job.paths)[1] == pytest.approx(
        dev_loss(fresh, inputs.train.rows, lambda _: None).loss, rel=1e-4
    )


def test_accumulated_micro_batches_train_like_one_batch(
    base: Path, store: Store, every_step_told: None
) -> None:
    plan = plan_for(store, base, "lora", max_steps=6, dropout=0.0)
    split = plan.model_copy(
        update={
            "config": plan.config.model_copy(update={"micro_batch_size": 2, "gradient_accumulation_steps": 4})
        }
    )
    whole_job, split_job = tiny.make_run(store, plan), tiny.make_run(store, split)

    train_job.run(whole_job)
    train_job.run(split_job)

    assert tiny.losses(split_job.paths) == pytest.approx(tiny.losses(whole_job.paths), rel=1e-3)


def test_prefix_tuning_trains_even_when_a_plan_asks_to_recompute_activations(
    base: Path, store: Store
) -> None:
    plan = plan_for(store, base, "prefix_tuning", max_steps=3)
    asking = plan.model_copy(
        update={"config": plan.config.model_copy(update={"activation_checkpointing": True})}
    )

    assert train_job.run(tiny.make_run(store, asking)).steps == 3


def test_lora_trains_with_recomputed_activations(base: Path, store: Store) -> None:
    plan = plan_for(store, base, "lora")
    saving = plan.model_copy(
        update={"config": plan.config.model_copy(update={"activation_checkpointing": True})}
    )

    outcome = train_job.run(tiny.make_run(store, saving))

    assert outcome.eval_loss is not None and outcome.base_eval_loss is not None
    assert outcome.eval_loss < outcome.base_eval_loss / 2


def test_the_base_is_scored_before_anything_is_attached_to_it(base: Path, store: Store) -> None:
    """A fresh soft prompt changes the loss: it is not the base's."""
    lora = train_job.run(tiny.make_run(store, plan_for(store, base, "lora", max_steps=1)))
    soft = train_job.run(tiny.make_run(store, plan_for(store, base, "prompt_tuning", max_steps=1)))

    assert soft.base_eval_loss == pytest.approx(lora.base_eval_loss, rel=1e-6)


def test_rows_without_room_for_an_answer_are_left_out_and_told(base: Path, store: Store) -> None:
    from tunesmith.data.rows import Row

    rows = [
        *tiny.colour_rows(8),
        Row(9, prompt="x" * 60, completion="no"),
        Row(10, prompt="a", completion="y" * 60),
    ]
    dataset = tiny.add_dataset(store, rows)
    request = tiny.configure_request(base, dataset, max_steps=1, max_length=32)
    job = tiny.make_run(store, tiny.make_plan(store, request))

    train_job.run(job)

    findings = {
        event["code"]: event for event in read_events(job.paths.journal) if event["event"] == "finding"
    }
    assert findings["prompt_too_long"]["message"].startswith("1 training rows")
    assert findings["truncated"]["message"].startswith("1 training rows")


def test_four_bit_weights_compute_the_same_in_evaluation_as_in_training(base: Path, store: Store) -> None:
    """bitsandbytes repacks them on their first use in evaluation, with coarser scales."""
    import torch

    plan = plan_for(store, base, "qlora", max_steps=1)
    model = load_base(read_inputs(store, plan), plan)
    ids = torch.arange(20).unsqueeze(0)
    with torch.no_grad():
        trained = model.train()(input_ids=ids).logits
        evaluated = model.eval()(input_ids=ids).logits

    assert torch.equal(trained, evaluated)


def _changed(tuned: Any, base: Any) -> bool:
    import torch

    ids = torch.arange(2, 22).unsqueeze(0)
    with torch.inference_mode():
        a, b = tuned.eval()(input_ids=ids).logits[:, -20:], base.eval()(input_ids=ids).logits
    return math.isfinite(float(a.sum())) and not torch.allclose(a, b, atol=1e-3)

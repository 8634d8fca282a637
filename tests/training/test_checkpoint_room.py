"""What a run writes, against what it was expected to write before it began."""

from __future__ import annotations

from typing import Any

import pytest

from tests.training import tiny
from tunesmith import demo
from tunesmith.jobs.disk import use_of
from tunesmith.jobs.paths import Store
from tunesmith.jobs.room import adapter_bytes, checkpoint_bytes
from tunesmith.training import train_job


@pytest.mark.parametrize(
    ("method", "chosen", "changed"),
    [
        ("lora", {}, {}),
        ("lora", {}, {"early_stopping_patience": 3}),
        ("lora", {"use_dora": True}, {}),
        ("lora", {"init_lora_weights": "pissa"}, {}),
        ("full", {}, {}),
        ("full", {}, {"early_stopping_patience": 3}),
        ("prompt_tuning", {}, {}),
        ("prompt_tuning", {}, {"early_stopping_patience": 3}),
        ("prefix_tuning", {}, {}),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value) or "plain",
)
def test_a_checkpoint_and_an_adapter_take_what_was_expected_or_up_to_a_fifth_less(
    method: str, chosen: dict[str, Any], changed: dict[str, Any], store: Store
) -> None:
    dataset = tiny.add_dataset(store, tiny.colour_rows(40))
    golden = tiny.add_golden_set(store, dataset, tiny.colour_rows(8, start=500))
    request = tiny.configure_request(
        demo.base_model_path(), dataset, golden, tuning_method=method, max_steps=4, batch_size=4, **chosen
    )
    changed = {"early_stopping_patience": None, "save_steps": 2, "eval_steps": 2, **changed}
    plan = tiny.make_plan(store, request, changed)
    job = tiny.make_run(store, plan)

    train_job.run(job)

    committed = sorted(job.paths.checkpoints.iterdir())
    assert len(committed) == 2
    for checkpoint in committed:
        taken_bytes = use_of([checkpoint]).taken_bytes
        assert taken_bytes <= checkpoint_bytes(plan) <= 1.2 * taken_bytes
    taken_bytes = use_of([job.paths.adapter]).taken_bytes
    assert taken_bytes <= adapter_bytes(plan) <= 1.2 * taken_bytes


def test_hundreds_of_logged_steps_are_expected_in_a_checkpoint(store: Store) -> None:
    dataset = tiny.add_dataset(store, tiny.colour_rows(40))
    request = tiny.configure_request(
        demo.base_model_path(), dataset, tuning_method="prompt_tuning", max_steps=300, batch_size=1
    )
    plan = tiny.make_plan(store, request, {"save_steps": 300, "early_stopping_patience": None})
    job = tiny.make_run(store, plan)

    train_job.run(job)

    (checkpoint,) = job.paths.checkpoints.iterdir()
    taken_bytes = use_of([checkpoint]).taken_bytes
    assert taken_bytes <= checkpoint_bytes(plan) <= 1.2 * taken_bytes

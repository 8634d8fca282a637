"""What a step consists of, however it is computed, and what may change between two attempts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.training import tiny
from tunesmith.data.rows import Row
from tunesmith.jobs.context import JobContext
from tunesmith.jobs.files import read_document, write_document
from tunesmith.jobs.journal import read_events
from tunesmith.jobs.paths import Store
from tunesmith.schemas.plans import Plan
from tunesmith.training import reporting, row_attention, train_job
from tunesmith.training.inputs import read_inputs
from tunesmith.training.model import load_run_model
from tunesmith.training.step_batches import Batcher

STEPS = 8


@pytest.fixture(autouse=True)
def told(every_step_told: None) -> None:
    """Every test here compares losses step by step."""


@pytest.fixture
def make_job(base: Path, store: Store) -> Any:
    rows = [*tiny.colour_rows(20), *long_rows(7)]
    dataset = tiny.add_dataset(store, rows)
    golden = tiny.add_golden_set(store, dataset, tiny.colour_rows(5, start=50))

    def make(method: str = "lora", **config: Any) -> JobContext:
        rate = 0.1 if method.startswith("pr") else 1e-2
        request = tiny.configure_request(
            base, dataset, golden, tuning_method=method, learning_rate=rate, max_steps=STEPS, batch_size=6
        )
        dropout = {"dropout": 0.0} if method == "lora" else {}
        return tiny.make_run(
            store, tiny.make_plan(store, request, {"save_steps": 4, "eval_steps": 2, **dropout, **config})
        )

    return make


def steps_of(job: JobContext, monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[int, ...]]]:
    """Train, and return the rows of each step."""
    seen = []
    original = Batcher.__call__

    def watch(self: Batcher, rows: Any) -> Any:
        seen.append(sorted(tuple(row.input_ids) for row in rows))
        return original(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(Batcher, "__call__", watch)
        train_job.run(job)
    return seen[:STEPS]


@pytest.mark.parametrize("method", ["lora", pytest.param("prefix_tuning", marks=pytest.mark.slow)])
def test_a_step_has_the_same_rows_and_the_same_loss_whatever_the_micro_batch_and_the_packing(
    method: str, make_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_job(method, packing=False, micro_batch_size=6)
    rows = steps_of(whole, monkeypatch)

    assert [len(step) for step in rows] == [6, 6, 6, 6, 3, 6, 6, 6], "27 rows an epoch"
    assert len({row for step in rows[:5] for row in step}) == 27
    for config in ({"packing": True, "micro_batch_size": 6}, {"packing": True, "micro_batch_size": 1},
                   {"packing": False, "micro_batch_size": 2}):  # fmt: skip
        job = make_job(method, gradient_accumulation_steps=6 // config["micro_batch_size"], **config)
        assert steps_of(job, monkeypatch) == rows
        assert tiny.losses(job.paths) == pytest.approx(tiny.losses(whole.paths), rel=1e-3)


def test_a_run_can_go_on_with_smaller_passes_recomputation_and_an_8_bit_optimizer(
    make_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = make_job(packing=True, micro_batch_size=6)
    train_job.run(whole)
    job = make_job(packing=True, micro_batch_size=6)
    with monkeypatch.context() as patch:
        patch.setattr(reporting.Reporter, "on_step_begin", stop_at(5))
        with pytest.raises(KeyboardInterrupt):
            train_job.run(job)

    plan = plan_of(job)
    smaller = {
        "micro_batch_size": 1,
        "gradient_accumulation_steps": 6,
        "activation_checkpointing": True,
        "optim": "adamw_8bit",
    }
    write_document(job.paths.plan, plan.model_copy(update={"config": plan.config.model_copy(update=smaller)}))
    outcome = train_job.run(tiny.next_attempt(job))

    assert outcome.steps == STEPS
    assert outcome.trained_tokens > 0
    assert tiny.losses(job.paths)[5] == pytest.approx(tiny.losses(whole.paths)[5], rel=1e-3)
    assert tiny.losses(job.paths) == pytest.approx(tiny.losses(whole.paths), rel=0.5)


def test_a_run_whose_held_out_loss_rises_ends_early_with_its_best_weights(
    make_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(early_stopping_patience=2)
    monkeypatch.setattr(train_job, "dev_loss", rising_after(train_job.dev_loss, 2))

    outcome = train_job.run(job)

    assert outcome.steps == 8
    evaluated = [event for event in read_events(job.paths.journal) if event["event"] == "evaluated"]
    assert [event["step"] for event in evaluated] == [0, 2, 4, 6, 8]
    assert outcome.eval_loss == min(event["eval_loss"] for event in evaluated[1:])
    (finding,) = findings(job)
    assert "step 4" in finding["message"]
    monkeypatch.undo()
    assert held_out(job) == pytest.approx(outcome.eval_loss, rel=1e-5), (
        "the weights handed back are the best ones"
    )


def test_a_killed_run_that_resumes_still_hands_back_the_best_weights_of_before(
    make_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(early_stopping_patience=3, save_steps=3)
    monkeypatch.setattr(train_job, "dev_loss", rising_after(train_job.dev_loss, 1))
    with monkeypatch.context() as patch:
        patch.setattr(reporting.Reporter, "on_step_begin", stop_at(4))
        with pytest.raises(KeyboardInterrupt):
            train_job.run(job)

    outcome = train_job.run(tiny.next_attempt(job))

    assert outcome.steps == 8
    (finding,) = findings(job)
    assert "step 2" in finding["message"]
    monkeypatch.undo()
    assert held_out(job) == pytest.approx(outcome.eval_loss, rel=1e-5)


def test_an_attempt_after_an_early_end_trains_no_further(
    make_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(early_stopping_patience=1)
    monkeypatch.setattr(train_job, "dev_loss", rising_after(train_job.dev_loss, 1))
    first = train_job.run(job)

    again = train_job.run(tiny.next_attempt(job))

    assert (again.steps, again.eval_loss) == (first.steps, first.eval_loss) == (4, first.eval_loss)


def long_rows(count: int) -> list[Row]:
    return [
        Row(30 + index, prompt=f"{index} sky: ", completion="blue " * (index + 2)) for index in range(count)
    ]


def plan_of(job: JobContext) -> Plan:
    plan = read_document(job.paths.plan, Plan)
    assert plan is not None
    return plan


def stop_at(step: int) -> Any:
    def on_step_begin(self: Any, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step == step:
            raise KeyboardInterrupt

    return on_step_begin


def rising_after(dev_loss: Any, falling: int) -> Any:
    """The real loss, to which less and less is added up to the evaluation number `falling`, and then more and more."""
    calls = []

    def loss(*arguments: Any) -> Any:
        figures = dev_loss(*arguments)
        calls.append(figures)
        return type(figures)(figures.loss + 10 * abs(len(calls) - 1 - falling), figures.accuracy)

    return loss


def findings(job: JobContext) -> list[dict[str, Any]]:
    return [
        event
        for event in read_events(job.paths.journal)
        if event["event"] == "finding" and event["code"] == "early_stopping"
    ]


def held_out(job: JobContext) -> float:
    plan = plan_of(job)
    model, _ = load_run_model(job.paths, plan)
    return float(train_job.dev_loss(model, read_inputs(job.store, plan).dev, lambda _: None).loss)


def test_packed_rows_attend_by_row_in_training_and_the_model_as_loaded_afterwards(
    make_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Masks would give the same numbers, slower."""
    lengths = []
    attend = row_attention._rows
    monkeypatch.setattr(
        row_attention, "_rows", lambda *given: lengths.append(sum(given[3])) or attend(*given)
    )
    trained = []
    save = train_job.save_adapter
    monkeypatch.setattr(
        train_job, "save_adapter", lambda model, *rest: trained.append(model) or save(model, *rest)
    )

    outcome = train_job.run(make_job(packing=True))

    layers = 2
    assert sum(lengths) >= layers * outcome.trained_tokens
    assert trained[0].config._attn_implementation == "sdpa"

"""learning_rate="auto": a range test on the real model, rows and batch size, while planning."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training import tiny
from tunesmith.jobs.paths import Store
from tunesmith.schemas.enums import Work
from tunesmith.schemas.handles import new_handle
from tunesmith.training import configure_job, rate_probe, train_job
from tunesmith.training.dev_loss import dev_loss
from tunesmith.training.inputs import load_base, read_inputs
from tunesmith.training.model import load_run_model


@pytest.mark.parametrize("method", ["lora", "full"])
def test_the_plan_gets_a_rate_that_learns_and_a_picture_of_why(method: str, store: Store, base: Path) -> None:
    dataset = tiny.add_dataset(store, tiny.green_rows(80))
    request = tiny.configure_request(base, dataset, tuning_method=method, learning_rate="auto", max_steps=30)
    job = tiny.job_for(store, new_handle(Work.CONFIGURE), request)
    plan = configure_job.run(job)

    assert plan.config.learning_rate_probe
    assert "range test" in plan.reasons["learning_rate"]
    assert job.paths.range_test.read_bytes().startswith(b"\x89PNG")
    inputs = read_inputs(store, plan)
    before = dev_loss(load_base(inputs, plan), inputs.train.rows, lambda _: None).loss
    run = tiny.make_run(store, plan)
    train_job.run(run)
    after = dev_loss(load_run_model(run.paths, plan)[0], inputs.train.rows, lambda _: None).loss
    assert after < before - 0.1


def test_the_same_request_gets_the_same_rate(store: Store, base: Path) -> None:
    dataset = tiny.add_dataset(store, tiny.green_rows(80))
    request = tiny.configure_request(base, dataset, learning_rate="auto")
    rates = {tiny.make_plan(store, request).config.learning_rate for _ in range(2)}
    assert len(rates) == 1


def test_the_test_ends_at_its_time_box(store: Store, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_probe, "TIME_BOX_S", 0.0)
    dataset = tiny.add_dataset(store, tiny.green_rows(80))
    plan = tiny.make_plan(store, tiny.configure_request(base, dataset, learning_rate="auto"))
    assert "did not fall" in plan.reasons["learning_rate"]

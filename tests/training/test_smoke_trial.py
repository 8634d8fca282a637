from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.training import tiny
from tunesmith.data.rows import Row
from tunesmith.jobs.context import JobContext
from tunesmith.jobs.paths import Store
from tunesmith.schemas.enums import TrainingMode
from tunesmith.schemas.runs import SmokeVerdict
from tunesmith.training import smoke, train_job
from tunesmith.training.rendering import Renderer


def trial(store: Store, base: Path, rows: list[Row] | None = None, **chosen: Any) -> JobContext:
    dataset = tiny.add_dataset(store, rows or tiny.green_rows(40))
    plan = tiny.make_plan(store, tiny.configure_request(base, dataset, **{"learning_rate": 1e-2, **chosen}))
    return tiny.make_run(store, plan, TrainingMode.SMOKE)


def verdict_of(job: JobContext) -> SmokeVerdict:
    verdict = train_job.run(job).smoke
    assert verdict is not None
    return verdict


@pytest.mark.parametrize(
    ("method", "rate"), [("lora", 1e-2), ("qlora", 1e-2), ("full", 1e-3), ("prefix_tuning", 0.1)]
)
def test_a_plan_that_learns_gets_a_go_with_measured_times(
    method: str, rate: float, store: Store, base: Path
) -> None:
    verdict = verdict_of(trial(store, base, tuning_method=method, learning_rate=rate))

    assert verdict.go, verdict.reasons
    assert verdict.steps == smoke.STEPS
    assert verdict.seconds_per_step is not None and verdict.seconds_per_step > 0
    assert verdict.estimated_seconds is not None and verdict.estimated_seconds > verdict.seconds_per_step


def test_a_learning_rate_that_ruins_the_model_gets_a_no_go_that_says_so(store: Store, base: Path) -> None:
    verdict = verdict_of(trial(store, base, tuning_method="full", learning_rate=1.0))

    assert not verdict.go
    assert any("learning_rate" in reason for reason in verdict.reasons)


def test_an_adapter_that_does_not_survive_saving_gets_a_no_go(
    store: Store, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file, save_file

    original = smoke.save_adapter

    def lose_weights(model: Any, tokenizer: Any, plan: Any, paths: Any, scratch: Any) -> None:
        original(model, tokenizer, plan, paths, scratch)
        file = paths.adapter / "adapter_model.safetensors"
        save_file({name: tensor * 0 for name, tensor in load_file(file).items()}, file)

    monkeypatch.setattr(smoke, "save_adapter", lose_weights)
    verdict = verdict_of(trial(store, base))

    assert not verdict.go
    assert any(reason.startswith("NO: saved and loaded again") for reason in verdict.reasons)


def test_rows_without_room_for_an_answer_get_a_no_go_and_no_adapter(store: Store, base: Path) -> None:
    rows = [
        *tiny.colour_rows(1),
        *(Row(number, prompt="x" * 90, completion="no") for number in range(2, 202)),
    ]
    job = trial(store, base, rows[::-1], max_length=32)
    outcome = train_job.run(job)

    assert outcome.smoke is not None and not outcome.smoke.go
    assert "empty_mask" in outcome.smoke.reasons[0]
    assert outcome.adapter is None


def test_the_trial_tells_whether_answers_learn_to_end_and_how_much_memory_was_taken(
    store: Store, base: Path
) -> None:
    verdict = verdict_of(trial(store, base))

    (ending,) = (reason for reason in verdict.reasons if "ends an answer" in reason)
    assert ending.startswith("ok: ")
    assert "of 4 generated answers ended by themselves" in ending
    assert any("generation is given the very prompts" in reason for reason in verdict.reasons)
    assert verdict.peak_memory_bytes is not None and verdict.peak_memory_bytes > 10**8


def test_rows_that_all_lose_their_end_get_a_no_go(store: Store, base: Path) -> None:
    rows = [Row(number, prompt="say", completion="green " * 40) for number in range(1, 41)]
    verdict = verdict_of(trial(store, base, rows, max_length=24))

    assert not verdict.go
    assert any(reason.startswith("NO: all rows looked at are cut") for reason in verdict.reasons)


def test_generation_behind_another_prompt_than_the_trained_one_gets_a_no_go(
    store: Store, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Renderer.prompt_ids
    monkeypatch.setattr(Renderer, "prompt_ids", lambda self, row: [*original(self, row), 5])
    verdict = verdict_of(trial(store, base))

    assert not verdict.go
    assert any("do not begin with the prompt" in reason for reason in verdict.reasons)


def test_the_trial_ends_at_its_time_box(store: Store, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "TIME_BOX_S", 0.0)

    assert verdict_of(trial(store, base)).steps == 1

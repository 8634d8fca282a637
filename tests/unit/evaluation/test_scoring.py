from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import LoraConfig, PrefixTuningConfig, PromptTuningConfig, get_peft_model

from tunesmith.evaluation import scoring
from tunesmith.evaluation.scoring import score, without_adapter
from tunesmith.training.rendering import NO_LOSS, Rendered

METHODS = {
    "lora": LoraConfig(
        task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False
    ),
    "prompt tuning": PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5),
    "prefix tuning": PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5),
}


def mean_losses(model: Any, rows: list[Rendered]) -> list[float]:
    """What the library itself says of each row alone."""
    with torch.no_grad():
        return [
            model(input_ids=torch.tensor([row.input_ids]), labels=torch.tensor([row.labels])).loss.item()
            for row in rows
        ]


def scored(model: Any, rows: list[Rendered], news: SimpleNamespace) -> list[float]:
    return [row.loss / row.tokens for row in score(model, rows, news.on_batch)]


def test_each_rows_loss_is_the_models_own_loss_whatever_shares_the_batch(
    tiny: Any, rendered_rows: list[Rendered], no_news: SimpleNamespace
) -> None:
    assert scored(tiny, rendered_rows, no_news) == pytest.approx(mean_losses(tiny, rendered_rows), abs=1e-4)


def test_tokens_and_first_ranks_are_counted_over_the_loss_tokens_alone(
    tiny: Any, rendered_rows: list[Rendered], no_news: SimpleNamespace
) -> None:
    row = rendered_rows[3]
    with torch.no_grad():
        guesses = tiny(input_ids=torch.tensor([row.input_ids])).logits[0].argmax(dim=-1).tolist()
    # A row whose second loss token is what the model would have guessed.
    right = Rendered([*row.input_ids, guesses[-1]], [*row.labels, guesses[-1]])

    found = score(tiny, [*rendered_rows, right], no_news.on_batch)[-1]

    hits = sum(
        label == guess for label, guess in zip(row.labels[1:], guesses, strict=False) if label != NO_LOSS
    )
    assert found.tokens == row.loss_tokens + 1
    assert found.correct == hits + 1


@pytest.mark.parametrize("method", METHODS)
def test_adapters_and_learned_prompts_are_scored_right_and_so_is_the_base_below_them(
    method: str, tiny: Any, rendered_rows: list[Rendered], no_news: SimpleNamespace
) -> None:
    base = mean_losses(tiny, rendered_rows)
    model = get_peft_model(tiny, METHODS[method]).eval()
    tuned = mean_losses(model, rendered_rows)

    assert scored(model, rendered_rows, no_news) == pytest.approx(tuned, abs=1e-4)
    with model.disable_adapter():
        assert scored(without_adapter(model), rendered_rows, no_news) == pytest.approx(base, abs=1e-4)
    assert scored(model, rendered_rows, no_news) == pytest.approx(tuned, abs=1e-4)
    assert max(abs(a - b) for a, b in zip(base, tuned, strict=True)) > 0.05


@pytest.mark.parametrize("method", [None, "prompt tuning"])
def test_little_memory_for_logits_changes_no_figure(
    method: str | None,
    tiny: Any,
    rendered_rows: list[Rendered],
    no_news: SimpleNamespace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = tiny if method is None else get_peft_model(tiny, METHODS[method]).eval()
    expected = scored(model, rendered_rows, no_news)
    monkeypatch.setattr(scoring, "LOGITS_BYTES", 4 * 317 * 3)  # three positions at a time

    assert scored(model, rendered_rows, no_news) == pytest.approx(expected, abs=1e-4)


def test_a_model_that_cannot_select_positions_is_scored_just_as_well(
    tiny: Any, rendered_rows: list[Rendered], no_news: SimpleNamespace
) -> None:
    expected = scored(tiny, rendered_rows, no_news)
    forward = tiny.forward
    tiny.forward = lambda input_ids, attention_mask, use_cache: forward(
        input_ids=input_ids, attention_mask=attention_mask, use_cache=use_cache
    )

    assert scored(tiny, rendered_rows, no_news) == pytest.approx(expected, abs=1e-4)


def test_batches_are_told_and_can_end_the_scoring(tiny: Any, rendered_rows: list[Rendered]) -> None:
    told: list[int] = []
    score(tiny, rendered_rows, told.append)

    assert sum(told) == len(rendered_rows)

    def end(_: int) -> None:
        raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        score(tiny, rendered_rows, end)
        pytest.fail("the scoring went on")

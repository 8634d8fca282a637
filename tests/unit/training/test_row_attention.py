from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from tests.training.architectures import small_config
from tunesmith.training import row_attention
from tunesmith.training.answer_loss import AnswerLoss
from tunesmith.training.attention import packed_types
from tunesmith.training.rendering import NO_LOSS, Rendered
from tunesmith.training.row_attention import NAME, NAME_OF_EAGER, attends_as_loaded, attends_by_row, rows_of
from tunesmith.training.step_batches import Batcher, Pass

LONGEST = 16
ROWS = [
    Rendered(ids, [NO_LOSS, *ids[1:]])
    for ids in ([5, 7, 9, 30, 31, 12, 8], [40, 41, 42, 4], [9, 8, 7, 6, 5, 44, 45, 46, 47, 3, 4], [3, 60])
]
GRANTED = {
    "gemma",
    "gpt2",
    "gpt_neo",
    "gpt_neox",
    "granite",
    "llama",
    "mistral",
    "mixtral",
    "phi",
    "qwen2",
    "qwen3",
    "smollm3",
}


def model_of(model_type: str) -> Any:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(deepcopy(small_config(model_type))).eval()


def one_pass(rows: list[Rendered] = ROWS) -> Pass:
    (each,) = Batcher(True, 4, LONGEST, 4 * LONGEST, 32, 0, by_row=True)(rows).passes
    return each


def loss_by_row(model: Any, rows: list[Rendered] = ROWS) -> torch.Tensor:
    each = one_pass(rows)
    with rows_of(each.row_lengths):
        return AnswerLoss(model)(each)


def loss_alone(model: Any) -> torch.Tensor:
    losses = []
    for row in ROWS:
        logits = model(input_ids=torch.tensor([row.input_ids]), use_cache=False).logits[0, :-1]
        losses.append(cross_entropy(logits, torch.tensor(row.labels[1:]), reduction="sum"))
    return torch.stack(losses).sum()


@pytest.mark.parametrize("model_type", packed_types())
@pytest.mark.parametrize("written_out", [False, True])
def test_an_architecture_that_attends_by_row_gives_the_loss_and_gradients_of_each_row_alone(
    model_type: str, written_out: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_attention, "is_written_out", lambda *_: written_out)
    model = model_of(model_type)
    if not attends_by_row(model, LONGEST):
        assert model_type not in GRANTED
        return
    weight = model.get_input_embeddings().weight

    for loss in (loss_by_row, loss_alone):
        model.zero_grad()
        value = loss(model)
        if loss is loss_by_row:
            with rows_of(one_pass().row_lengths):
                value.backward()
            found = (float(value), weight.grad.clone())
        else:
            value.backward()
            assert found[0] == pytest.approx(float(value), rel=1e-5)
            largest = float(weight.grad.abs().max())
            assert float((found[1] - weight.grad).abs().max()) < 1e-2 * largest, (
                "some amplify what float32 rounds"
            )


@pytest.mark.parametrize("written_out", [False, True])
def test_bfloat16_rows_attend_alike_written_out_and_fused(
    written_out: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_attention, "is_written_out", lambda *_: written_out)
    model = model_of("llama")
    exact = float(loss_alone(model))
    model.to(torch.bfloat16)
    assert attends_by_row(model, LONGEST)

    assert float(loss_by_row(model)) == pytest.approx(exact, rel=1e-2)


def test_what_one_row_says_changes_nothing_about_the_others() -> None:
    model = model_of("llama")
    assert attends_by_row(model, LONGEST)
    quiet = [Rendered(row.input_ids, [NO_LOSS] * len(row.input_ids)) for row in ROWS[:3]]
    other = [Rendered([1] * len(row.input_ids), row.labels) for row in quiet]

    assert float(loss_by_row(model, [*quiet, ROWS[3]])) == float(loss_by_row(model, [*other, ROWS[3]]))


@pytest.mark.parametrize(("model_type", "loaded"), [("llama", "sdpa"), ("gpt_neo", "eager")])
def test_outside_of_its_rows_a_model_attends_as_it_was_loaded(model_type: str, loaded: str) -> None:
    model = model_of(model_type)
    ids = torch.tensor([[5, 7, 9, 0], [40, 41, 0, 0]])
    inputs = {"input_ids": ids, "attention_mask": (ids != 0).long()}
    before = model(**inputs).logits
    assert attends_by_row(model, LONGEST)

    assert torch.equal(model(**inputs).logits, before)
    assert model.config._attn_implementation in (NAME, NAME_OF_EAGER)
    attends_as_loaded(model)
    assert model.config._attn_implementation == loaded
    assert torch.equal(model(**inputs).logits, before)


def test_a_window_shorter_than_the_rows_is_left_to_masks() -> None:
    model = model_of("mistral")
    model.config.sliding_window = LONGEST - 1

    assert not attends_by_row(model, LONGEST)


def test_a_model_that_does_not_ask_transformers_for_its_attention_is_left_to_masks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a mask its rows would see each other."""
    model = model_of("llama")
    monkeypatch.setattr(row_attention, "_attend", row_attention.sdpa_attention_forward)

    assert not attends_by_row(model, LONGEST)
    assert model.config._attn_implementation == "sdpa"


def test_activations_that_are_computed_again_attend_by_row_again() -> None:
    model = model_of("llama").train()
    assert attends_by_row(model, LONGEST)
    weight = model.get_input_embeddings().weight
    each = one_pass()

    gradients = []
    for again in (False, True):
        if again:
            model.activation_checkpointing_enable()
        model.zero_grad()
        with rows_of(each.row_lengths):
            AnswerLoss(model)(each).backward()
        gradients.append(weight.grad.clone())

    torch.testing.assert_close(*gradients)

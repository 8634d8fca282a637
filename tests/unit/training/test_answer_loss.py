from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoConfig, AutoModelForCausalLM

from tunesmith.training import answer_loss
from tunesmith.training.answer_loss import AnswerLoss
from tunesmith.training.rendering import NO_LOSS, Rendered
from tunesmith.training.step_batches import Batcher

VOCABULARY = 60
SIZES = {
    "vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "intermediate_size": 48, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "llama": {"num_key_value_heads": 2, "tie_word_embeddings": False},
    "gpt2": {"n_positions": 64, "attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0},
    "gpt_neox": {"max_position_embeddings": 64},
    "qwen3": {"num_key_value_heads": 2, "head_dim": 8},
    "gemma2": {"num_key_value_heads": 2, "head_dim": 8, "final_logit_softcapping": 0.5, "sliding_window": 8},
    "granite": {"num_key_value_heads": 2, "logits_scaling": 4.0},
}


def small(model_type: str, **sizes: Any) -> Any:
    torch.manual_seed(0)
    config = AutoConfig.for_model(model_type, **{**SIZES, **ARCHITECTURES.get(model_type, {}), **sizes})
    model = AutoModelForCausalLM.from_config(config).train()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3)  # far enough from uniform that a difference would show
    return model


def make_rows(*lengths: int) -> list[Rendered]:
    rng = random.Random(0)
    rows = []
    for length in lengths:
        ids = [rng.randrange(3, VOCABULARY) for _ in range(length)]
        prompt = rng.randrange(1, max(2, length // 2))
        rows.append(Rendered(ids, [NO_LOSS] * prompt + ids[prompt:]))
    return rows


ROWS = make_rows(24, 5, 9, 17, 3, 11)


def batcher(
    packing: bool = True, micro_batch_size: int = 8, max_length: int = 32, by_row: bool = False
) -> Batcher:
    return Batcher(packing, micro_batch_size, max_length, micro_batch_size * max_length, 4096, 0, by_row)


def packed_loss(
    model: Any, rows: list[Rendered], *, packing: bool = True, micro_batch_size: int = 2
) -> torch.Tensor:
    step = batcher(packing, micro_batch_size)(rows)
    loss_of = AnswerLoss(model)
    losses = [loss_of(each) for each in step.passes]
    if packing:
        assert sum(len(each.input_ids) for each in step.passes) < len(rows), "nothing was packed"
    return torch.stack(losses).sum() / step.loss_tokens


def loss_one_by_one(model: Any, rows: list[Rendered]) -> torch.Tensor:
    """What each row costs alone in a sequence, by nothing of ours."""
    losses, tokens = [], 0
    for row in rows:
        logits = model(input_ids=torch.tensor([row.input_ids]), use_cache=False).logits[0, :-1]
        wanted = torch.tensor(row.labels[1:])
        losses.append(cross_entropy(logits, wanted, ignore_index=NO_LOSS, reduction="sum"))
        tokens += int((wanted != NO_LOSS).sum())
    return torch.stack(losses).sum() / tokens


def gradients(model: Any, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_loss_and_gradients_are_those_of_each_row_alone(model_type: str, packing: bool) -> None:
    model = small(model_type)

    wanted = loss_one_by_one(model, ROWS)
    ours = packed_loss(model, ROWS, packing=packing)

    assert float(ours) == pytest.approx(float(wanted), abs=1e-5)
    expected, found = gradients(model, loss_one_by_one(model, ROWS)), gradients(model, ours)
    assert expected.keys() == found.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model_type", ["llama", "gpt2", "gpt_neox", "qwen3"])
def test_packed_logits_are_those_of_each_row_alone(model_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small(model_type)
    (each,) = batcher()(ROWS).passes
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(
        answer_loss,
        "_loss_and_slope",
        lambda logits, _: seen.append(logits) or (logits.sum() * 0, logits * 0),
    )
    AnswerLoss(model)(each)

    by_pair = {}
    for row in ROWS:
        logits = model(input_ids=torch.tensor([row.input_ids])).logits[0]
        for at, label in enumerate(row.labels[1:]):
            if label != NO_LOSS:
                by_pair[(tuple(row.input_ids[: at + 1]))] = logits[at]
    for logits, sequence, place in zip(seen[0], *each.predicting.tolist(), strict=True):
        positions = each.position_ids[sequence]  # type: ignore[index]
        first = place - int(positions[place])
        before = tuple(each.input_ids[sequence, first : place + 1].tolist())
        torch.testing.assert_close(logits, by_pair[before].detach(), rtol=0, atol=1e-5)


def test_what_one_row_says_changes_nothing_about_the_row_behind_it() -> None:
    model = small("llama").eval()
    one, other, behind = make_rows(12, 12, 9)
    one = Rendered(one.input_ids, [NO_LOSS] * 12)
    other = Rendered(other.input_ids, [NO_LOSS] * 12)

    losses = []
    for first in (one, other):
        (each,) = batcher()([first, behind]).passes
        assert len(each.input_ids) == 1
        losses.append(float(AnswerLoss(model)(each)))

    assert losses[0] == losses[1]


def test_rows_together_longer_than_the_context_do_not_crash_a_model_with_256_positions() -> None:
    """It keeps a square of booleans of that size, and a table of as many positions."""
    sizes = {
        "max_position_embeddings": 256,
        "num_layers": 2,
        "num_heads": 4,
        "attention_types": [[["global"], 2]],
    }
    model = small("gpt_neo", **sizes)
    rows = make_rows(*[90, 100, 110, 120, 80, 256, 30, 40])

    step = batcher(max_length=256)(rows)
    (each,) = step.passes

    assert step.tokens > 3 * 256
    assert float(AnswerLoss(model)(each)) / step.loss_tokens == pytest.approx(
        float(loss_one_by_one(model, rows)), rel=1e-5
    )


@pytest.mark.parametrize("tied", [True, False])
def test_a_head_that_learns_gets_the_gradient_of_all_pieces(
    tied: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_loss, "LOGITS_BYTES", 5 * 4 * VOCABULARY)
    model = small("llama", tie_word_embeddings=tied)

    found = gradients(model, packed_loss(model, ROWS))

    for name, gradient in gradients(model, loss_one_by_one(model, ROWS)).items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-5)


def test_only_positions_that_carry_loss_go_through_the_head_and_few_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answer_loss, "LOGITS_BYTES", 5 * 4 * VOCABULARY)
    model = small("llama")
    loss_of = AnswerLoss(model)
    (each,) = batcher()(ROWS).passes
    loss_of(each)
    sizes: list[int] = []
    model.lm_head.register_forward_hook(lambda _, given, __: sizes.append(given[0].shape[-2]))

    loss_of(each)

    assert sum(sizes) == len(each.targets) + 1, "one more, which the model itself wants to see"
    assert max(sizes) == 5


def test_looking_at_what_follows_the_head_draws_no_random_number() -> None:
    """A resumed training looks again, and its dropout has to go on as if it had not."""
    model = small("gpt2", resid_pdrop=0.5)
    (each,) = batcher()(ROWS).passes
    loss_of = AnswerLoss(model)

    losses = []
    for _ in range(2):
        torch.manual_seed(1)
        losses.append(float(loss_of(each)))

    assert losses[0] == losses[1]

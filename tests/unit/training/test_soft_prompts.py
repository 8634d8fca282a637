from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.training import tiny
from tunesmith.schemas.errors import InvalidArgument
from tunesmith.training.methods import attach
from tunesmith.training.model import load_model, load_tokenizer
from tunesmith.training.soft_prompts import initial_tokens, text_tokens

TEXT = "Answer green."


def fresh(base: Path, method: str, **chosen: Any) -> Any:
    model = load_model(base, precision="float32", quantization=None, for_training=False)
    config = tiny.plan_config(tuning_method=method, **{"num_virtual_tokens": 4, **chosen})
    return attach(model, config).eval()


def logits(model: Any, text: str) -> Any:
    import torch

    with torch.no_grad():
        return model(input_ids=torch.tensor([text_tokens(tiny.byte_tokenizer(), text)])).logits[0, -1]


@pytest.mark.parametrize("method", ["prompt_tuning", "prefix_tuning"])
def test_a_soft_prompt_that_begins_as_a_text_answers_as_if_the_text_stood_there(
    method: str, base: Path
) -> None:
    import torch

    plain = load_model(base, precision="float32", quantization=None, for_training=False)
    tuned = fresh(base, method, prompt_tuning_init_text=TEXT, num_virtual_tokens=len(TEXT))

    torch.testing.assert_close(
        logits(tuned, "7 sky: "), logits(plain, f"{TEXT}7 sky: "), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize("method", ["prompt_tuning", "prefix_tuning"])
def test_a_soft_prompt_without_a_text_begins_as_real_tokens_that_the_seed_draws(
    method: str, base: Path
) -> None:
    import torch

    def begun(seed: int) -> Any:
        return fresh(base, method, seed=seed).prompt_encoder["default"].embedding.weight

    assert torch.equal(begun(1), begun(1))
    assert not torch.equal(begun(1), begun(2))
    if method == "prompt_tuning":
        embeddings = load_model(
            base, precision="float32", quantization=None, for_training=False
        ).get_input_embeddings()
        for row in begun(1):
            assert (embeddings.weight == row).all(dim=1).any()


def test_special_tokens_are_never_drawn(base: Path) -> None:
    tokenizer = load_tokenizer(base)
    drawn = initial_tokens(tokenizer, len(tokenizer), None, 2000)

    assert not set(drawn.tolist()) & set(tokenizer.all_special_ids)
    assert len(set(drawn.tolist())) > 100


def test_a_prompt_longer_than_its_text_repeats_it_and_a_shorter_one_has_its_beginning(base: Path) -> None:
    tokenizer = load_tokenizer(base)

    assert tokenizer.decode(initial_tokens(tokenizer, len(tokenizer), "abc", 7)) == "abcabca"
    assert tokenizer.decode(initial_tokens(tokenizer, len(tokenizer), "abc", 2)) == "ab"


def test_a_text_without_tokens_is_refused(base: Path) -> None:
    with pytest.raises(InvalidArgument, match="prompt_tuning_init_text"):
        text_tokens(load_tokenizer(base), "")


def test_control_tokens_spelled_out_in_the_text_stay_text(base: Path) -> None:
    tokenizer = load_tokenizer(base)

    assert tokenizer.eos_token_id not in text_tokens(tokenizer, f"say {tiny.EOS} now")

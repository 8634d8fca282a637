"""From a foreign config.json to the sizes that a memory estimate needs, or to none."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.training.bases.shape import context_of, shape_of

SMOL: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 576,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "intermediate_size": 1536,
    "vocab_size": 49152,
    "tie_word_embeddings": True,
    "max_position_embeddings": 8192,
}
SMOL_COUNT = 134_515_008
GPT2 = {
    "model_type": "gpt2",
    "n_embd": 768,
    "n_layer": 12,
    "n_head": 12,
    "vocab_size": 50257,
    "n_positions": 1024,
}


def test_the_sizes_of_a_llama_become_the_facts_that_a_plan_is_made_from() -> None:
    shape = shape_of(SMOL, SMOL_COUNT)
    assert shape is not None
    facts = shape.facts(8192)
    assert (facts.layers, facts.hidden_size, facts.key_value_size, facts.context) == (30, 576, 192, 8192)
    linear = sum(matrix.inputs * matrix.outputs for matrix in facts.matrices)
    assert linear + 49152 * 576 == pytest.approx(SMOL_COUNT, rel=0.001)


def test_older_names_of_the_same_sizes_are_understood() -> None:
    shape = shape_of(GPT2, 124_439_808)
    assert shape is not None
    assert (shape.hidden_size, shape.intermediate_size, shape.mlp_matrices) == (768, 3072, 2)
    assert context_of(GPT2) == 1024


def test_a_tied_head_that_was_stored_twice_is_counted_once() -> None:
    shape = shape_of(SMOL, SMOL_COUNT + 49152 * 576)
    assert shape is not None
    assert shape.distinct(SMOL_COUNT + 49152 * 576) == pytest.approx(SMOL_COUNT, rel=0.001)


@pytest.mark.parametrize("published", [30_000_000_000, 1, None])
def test_sizes_that_do_not_explain_the_published_count_are_not_believed(published: int | None) -> None:
    assert shape_of(SMOL, published) is None


@pytest.mark.parametrize(
    "broken",
    [
        {"hidden_size": "576"},
        {"num_hidden_layers": 0},
        {"num_attention_heads": -9},
        {"num_hidden_layers": 1_000_000},
        {"vocab_size": 10**30},
        {"hidden_size": True},
        {"num_attention_heads": None},
    ],
    ids=str,
)
def test_a_config_with_impossible_sizes_has_no_shape(broken: dict[str, Any]) -> None:
    assert shape_of({**SMOL, **broken}, SMOL_COUNT) is None

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tunesmith.training.attention import (
    AttentionFacts,
    attends_only,
    attention_facts,
    packed_types,
    window_of,
)

_SMALL: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_OWN: dict[str, dict[str, Any]] = {
    "gpt_neo": {
        "attention_types": [[["global", "local"], 1]],
        "num_layers": 2,
        "num_heads": 4,
        "window_size": 4,
    },
    "gptj": {"rotary_dim": 4},
    "mistral": {"sliding_window": 4},
    "gemma3_text": {"sliding_window": 4, "sliding_window_pattern": 2},
    "gemma2": {"sliding_window": 4},
    "qwen2_moe": {"moe_intermediate_size": 16, "shared_expert_intermediate_size": 16, "num_experts": 4},
    "qwen3_moe": {"moe_intermediate_size": 16, "num_experts": 4, "num_experts_per_tok": 2},
    "mixtral": {"num_local_experts": 4},
    "glm4": {"partial_rotary_factor": 0.5},
}


@pytest.mark.parametrize("model_type", packed_types())
def test_rows_that_share_a_sequence_do_not_see_each_other(model_type: str) -> None:
    options = {**_SMALL, **_OWN.get(model_type, {})}
    if model_type == "gpt_neo":
        options.pop("intermediate_size")
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **options)).eval()
    assert attention_facts(model.config.get_text_config(), model).packs
    rows = [torch.randint(3, 50, (length,)) for length in (7, 11, 6)]
    ids = torch.cat(rows).unsqueeze(0)
    positions = torch.cat([torch.arange(len(row)) for row in rows]).unsqueeze(0)

    with torch.inference_mode():
        shared = model(input_ids=ids, position_ids=positions, use_cache=False).logits[0]
        alone = torch.cat([model(input_ids=row.unsqueeze(0), use_cache=False).logits[0] for row in rows])

    assert (shared - alone).abs().max() < 1e-4


def test_a_model_with_a_state_or_alibi_is_not_packed() -> None:
    for model_type in ("mamba", "bloom", "rwkv", "opt"):
        facts = attention_facts(AutoConfig.for_model(model_type), type("Model", (), {}))
        assert "keep rows that share a sequence apart" in (facts.why_not_packed() or "")
    assert AttentionFacts().why_not_packed() is None
    assert not attends_only({"layer_types": ["full_attention", "linear_attention"]})
    assert not attends_only({"alibi": True})


@pytest.mark.parametrize(
    ("config", "window"),
    [
        ({}, None),
        ({"sliding_window": 4096}, 4096),
        ({"sliding_window": 4096, "use_sliding_window": False}, None),
        ({"sliding_window": 4096, "layer_types": ["full_attention"]}, None),
        ({"window_size": 256, "attention_layers": ["global", "local"]}, 256),
    ],
)
def test_a_window_counts_only_where_a_layer_has_one(config: dict[str, Any], window: int | None) -> None:
    assert window_of(config) == window

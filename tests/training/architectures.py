"""Every causal language model architecture that transformers can build small, as a config without weights."""

from __future__ import annotations

from functools import cache
from typing import Any

SMALL: dict[str, Any] = {
    **dict.fromkeys(("hidden_size", "n_embd", "d_model"), 32),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 2),
    **dict.fromkeys(("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size"), 64),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_heads"), 4),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"), 64),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    "vocab_size": 99,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "is_decoder": True,
}

_LATENT = {
    "head_dim": None, "num_key_value_heads": 4, "q_lora_rank": 16, "kv_lora_rank": 16, "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4, "v_head_dim": 8, "n_group": 1, "topk_group": 1,
}  # fmt: skip
_MAMBA = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_expand": 2}

PECULIAR: dict[str, dict[str, Any]] = {
    "bamba": {**_MAMBA, "num_hidden_layers": 3, "attn_layer_indices": [1]},
    "codegen": {"rotary_dim": 4},
    "deepseek_v2": _LATENT,
    "deepseek_v3": _LATENT,
    "dots1": {"n_group": 1, "topk_group": 1, "n_shared_experts": 1, "first_k_dense_replace": 1},
    "falcon": {"head_dim": None},
    "gpt_neo": {"attention_types": [[["global", "local"], 1]], "window_size": 16},
    "gptj": {"rotary_dim": 4},
    "granitemoehybrid": {**_MAMBA, "layer_types": ["mamba", "attention"]},
    "jamba": {"num_hidden_layers": 8},
    "lfm3": {"num_hidden_layers": 8},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "mamba2": {"num_heads": 4, "head_dim": 16, "state_size": 8, "n_groups": 1},
    "minicpm3": _LATENT,
    "qwen3_5_moe_text": {"num_hidden_layers": 4},
    "qwen3_5_text": {"num_hidden_layers": 4},
    "qwen3_next": {"num_hidden_layers": 4},
    "recurrent_gemma": {"num_hidden_layers": 3},
    "zaya": {"num_experts_per_tok": 1},
}
"""What an architecture needs beside or instead of the usual sizes; None: leave the size to it."""

NOT_SMALL = {
    "axk1", "axk2", "bailing_hybrid", "bart", "bigbird_pegasus", "blenderbot", "blenderbot-small", "blt",
    "deepseek_v32", "git", "glm4_moe_lite", "glm_moe_dsa", "hy_v4", "kimi_linear", "longcat_flash",
    "marian", "mbart", "mvp", "pegasus", "phi4_multimodal", "qwen4_exp_text", "roc_bert", "trocr", "xmod",
    "youtu",
}  # fmt: skip
"""Their own defaults make them large or odd, or they are decoders of encoder-decoders, which are no base models."""


def causal_types() -> list[str]:
    """model_type of each architecture that is tried."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return sorted(set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) - NOT_SMALL)


@cache
def small_config(model_type: str) -> Any | None:
    """The architecture's config with small sizes; None where it has parts other than text, or cannot be so small."""
    from transformers import CONFIG_MAPPING

    kind = CONFIG_MAPPING[model_type]
    try:
        default = kind()
        text = default.get_text_config()
        if text is not default:
            return None
        sizes = {name: size for name, size in SMALL.items() if hasattr(text, name)}
        sizes.update(PECULIAR.get(model_type, {}))
        return kind(**{name: size for name, size in sizes.items() if size is not None})
    except Exception:  # noqa: BLE001 - any refusal of a config means: not this one
        return None


def small_model(model_type: str, device: str = "cpu") -> Any | None:
    """A random model of that config, or None. On the device "meta" its weights have shapes only."""
    import torch
    from transformers import AutoModelForCausalLM

    config = small_config(model_type)
    if config is None:
        return None
    torch.manual_seed(0)
    try:
        with torch.device(device):
            return AutoModelForCausalLM.from_config(config)
    except Exception:  # noqa: BLE001 - as above
        return None

"""How a base model attends, and whether several rows can share one of its sequences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tunesmith.schemas.plans import Attention

# fmt: off
_PACKS = frozenset((
    "arcee", "cohere", "cohere2", "exaone4", "gemma", "gemma2", "gemma3_text", "glm", "glm4", "gpt2",
    "gpt_neo", "gpt_neox", "gptj", "granite", "helium", "llama", "mistral", "mixtral", "nanochat", "olmo",
    "olmo2", "olmo3", "persimmon", "phi", "phi3", "qwen2", "qwen2_moe", "qwen3", "qwen3_moe",
    "seed_oss", "smollm3", "stablelm", "starcoder2",
))
# fmt: on
"""Attention over earlier tokens and nothing else that reaches from one token to another, with positions that the
caller sets. Left out: alibi (BLOOM, MPT, some Falcons) counts its positions itself; state-space and linear attention
layers (Mamba, RWKV, Qwen3-Next, Jamba) carry a state across the border between rows; OPT counts positions from its
mask. A test holds each of these against the rows alone."""


@dataclass(frozen=True)
class AttentionFacts:
    """`implementations` are transformers' names. `window` is how far back some layers look, in tokens; None without.

    `packs` says whether the architecture keeps rows that share a sequence apart.
    """

    model_type: str = "llama"
    implementations: tuple[Attention, ...] = ("sdpa", "eager")
    window: int | None = None
    packs: bool = True

    def why_not_packed(self) -> str | None:
        """Why rows may not share a sequence; None where they may."""
        if not self.packs:
            return f"{self.model_type} is not known to keep rows that share a sequence apart"
        if not {"sdpa", "eager"} & set(self.implementations):
            return "its attention takes no mask that keeps rows apart"
        return None


def attention_facts(config: Any, model: type | Any) -> AttentionFacts:
    """Facts from a transformers configuration (its text part) and the model, or its class, that is made from it."""
    ways: list[Attention] = ["eager"]
    if getattr(model, "_supports_sdpa", False):
        ways.insert(0, "sdpa")
    if getattr(model, "_supports_flash_attn", False):
        ways.append("flash_attention_2")
    stated = config.to_dict()
    return AttentionFacts(
        model_type=str(config.model_type),
        implementations=tuple(ways),
        window=window_of(stated),
        packs=config.model_type in _PACKS and attends_only(stated),
    )


def window_of(config: Mapping[str, Any]) -> int | None:
    """How far back layers with a sliding window look; None where each layer sees everything before it."""
    window = config.get("sliding_window") or config.get("window_size")
    if not isinstance(window, int) or config.get("use_sliding_window") is False:
        return None
    layers = config.get("layer_types") or config.get("attention_layers")
    if isinstance(layers, list) and all(kind in ("full_attention", "global") for kind in layers):
        return None
    return window


def attends_only(config: Mapping[str, Any]) -> bool:
    """Whether config.json speaks of no layer that is something else than attention, and of no alibi."""
    layers = config.get("layer_types") or config.get("attention_layers") or []
    kinds = {"full_attention", "sliding_attention", "chunked_attention", "global", "local"}
    return set(map(str, layers)) <= kinds and not config.get("alibi")


def packed_types() -> list[str]:
    """The architectures whose rows may share sequences, by their model_type."""
    return sorted(_PACKS)

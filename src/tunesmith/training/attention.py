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


GPT_NEO = "gpt_neo"
"""The one architecture whose own attention, written for itself, can be made to go by row."""
_TINY_ROW, _SHORT_ROW = 48, 256
_NARROW_HEAD = 16


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

    def attends_by_row(self, implementation: Attention, max_length: int) -> bool:
        """Whether on a processor each row of a shared sequence attends by itself, without a mask."""
        possible = implementation == "sdpa" or self.model_type == GPT_NEO
        return possible and (self.window is None or self.window >= max_length)


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


def is_written_out(bfloat16: bool, head_size: int, tokens: int) -> bool:
    """Whether a processor attends faster within a row of so many tokens where scores are written out.

    torch's fused way and its gradient were slower: in bfloat16 1.4 to 2.9 times up to 256 tokens (heads 32 to 128
    wide), in float32 1.6 to 2 times for 64 to 256 tokens and heads 8 wide, as fast for wider heads.
    """
    if bfloat16:
        return tokens <= _SHORT_ROW
    return head_size <= _NARROW_HEAD and _TINY_ROW <= tokens <= _SHORT_ROW


def packed_types() -> list[str]:
    """The architectures whose rows may share sequences, by their model_type."""
    return sorted(_PACKS)

"""The shape of a decoder-only transformer, as its config.json states it, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.training.attention import AttentionFacts
from tunesmith.training.facts import ModelFacts
from tunesmith.training.targets import Matrix

AGREEMENT = 0.02
"""A shape is believed when its parameter count is this close to the published one."""

DEFAULT_CONTEXT = 2048
"""Tokens that a model reads whose config.json does not say so."""

_ALIASES = {
    "hidden_size": ("n_embd", "d_model"),
    "num_hidden_layers": ("n_layer", "num_layers"),
    "num_attention_heads": ("n_head", "num_heads"),
    "intermediate_size": ("n_inner", "ffn_dim"),
    "max_position_embeddings": ("n_positions", "n_ctx", "max_seq_len"),
}
"""Older architectures' names (GPT-2, GPT-Neo, OPT) for what Llama's config.json calls by the first."""
_LARGEST = 10_000_000
_MOST_LAYERS = 1_000
_UNTIED = {"llama", "mistral", "qwen2", "qwen3", "phi", "phi3", "olmo2", "gpt_neox", "gptj"}
"""Where config.json does not say, these have an output head of their own; the others share the embedding."""
_FUSED = {"phi3", "gpt_neox", "gpt2"}


@dataclass(frozen=True)
class Shape:
    """Sizes under the names that config.json uses. `mlp_matrices` is 3 with a gate (SwiGLU, GeGLU), else 2."""

    model_type: str
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    intermediate_size: int
    vocab_size: int
    tie_word_embeddings: bool
    mlp_matrices: int = 3

    @property
    def parameters(self) -> int:
        """Weights without biases, position tables and what normalises queries and keys: under 1 % of a usual model.

        Embedding, output head where it is not the embedding, and per layer four attention matrices, the MLP's, and
        two norms.
        """
        embedding = self.vocab_size * self.hidden_size * (1 if self.tie_word_embeddings else 2)
        matrices = sum(rows * columns for _, rows, columns in self._layer())
        norms = (2 * self.num_hidden_layers + 1) * self.hidden_size
        return embedding + self.num_hidden_layers * matrices + norms

    def agrees_with(self, published: int) -> bool:
        """Whether the shape explains the published count, which on the Hub may hold a tied output head twice."""
        head = self.vocab_size * self.hidden_size if self.tie_word_embeddings else 0
        return any(abs(self.parameters + more - published) <= AGREEMENT * published for more in (0, head))

    def distinct(self, published: int) -> int:
        """The published count without an output head that is the embedding and was stored a second time."""
        return published if abs(self.parameters - published) <= AGREEMENT * published else self.parameters

    def facts(self, context: int | None) -> ModelFacts:
        """What the planner wants to know of a model, from its shape alone."""
        return ModelFacts(
            hidden_size=self.hidden_size,
            layers=self.num_hidden_layers,
            intermediate_size=self.intermediate_size,
            key_value_size=self.num_key_value_heads * self.head_dim,
            vocabulary=self.vocab_size,
            context=context or DEFAULT_CONTEXT,
            parameters=self.parameters,
            stored_bytes=2 * self.parameters,
            matrices=self._matrices(),
            query_size=self.num_attention_heads * self.head_dim,
            heads=self.num_attention_heads,
            attention=AttentionFacts(model_type=self.model_type),
        )

    def _layer(self) -> list[tuple[str, int, int]]:
        """Name, inputs and outputs of one layer's matrices; attention is always counted as four."""
        queries, keys = self.num_attention_heads * self.head_dim, self.num_key_value_heads * self.head_dim
        hidden, inner = self.hidden_size, self.intermediate_size
        names = ("gate_proj", "up_proj") if self.mlp_matrices == 3 else ("up_proj",)
        return [
            ("q_proj", hidden, queries),
            ("k_proj", hidden, keys),
            ("v_proj", hidden, keys),
            ("o_proj", queries, hidden),
            *((name, hidden, inner) for name in names),
            ("down_proj", inner, hidden),
        ]

    def _matrices(self) -> Sequence[Matrix]:
        layer = self._layer()
        if self.model_type in _FUSED:
            outputs = sum(columns for name, _, columns in layer if name in ("q_proj", "k_proj", "v_proj"))
            layer = [("qkv_proj", self.hidden_size, outputs), *layer[3:]]
        return [
            Matrix(f"layers.{index}.{name}", rows, columns)
            for index in range(self.num_hidden_layers)
            for name, rows, columns in layer
        ]


def shape_of(config: Mapping[str, Any], published: int | None) -> Shape | None:
    """The shape that a config.json states; None where it does not explain the published parameter count.

    Mixtures of experts, hybrids and encoders are such cases: what is in them cannot be told from these sizes.
    """
    sizes = {
        name: _size(config, name)
        for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
    }
    if not all(sizes.values()) or sizes["num_hidden_layers"] > _MOST_LAYERS:
        return None
    model_type = str(config.get("model_type", ""))
    tied = config.get("tie_word_embeddings")
    heads = sizes["num_attention_heads"]
    for mlp_matrices in (3, 2):
        shape = Shape(
            model_type=model_type,
            **sizes,
            num_key_value_heads=_size(config, "num_key_value_heads") or heads,
            head_dim=_size(config, "head_dim") or max(1, sizes["hidden_size"] // heads),
            intermediate_size=_size(config, "intermediate_size") or 4 * sizes["hidden_size"],
            tie_word_embeddings=tied if isinstance(tied, bool) else model_type not in _UNTIED,
            mlp_matrices=mlp_matrices,
        )
        if published is not None and shape.agrees_with(published):
            return shape
    return None


def context_of(config: Mapping[str, Any]) -> int | None:
    """How many tokens the model reads, where config.json says so."""
    return _size(config, "max_position_embeddings") or None


def _size(config: Mapping[str, Any], name: str) -> int:
    """A size from a foreign file; 0 where it is missing or cannot be one."""
    for key in (name, *_ALIASES.get(name, ())):
        value = config.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST:
            return value
    return 0

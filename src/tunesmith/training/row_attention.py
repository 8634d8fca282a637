"""Attention over rows that follow each other in one sequence, each row by itself.

torch's fused attention on a processor computes all of a packed sequence's scores, those that its mask hides too. Going
through the rows one by one costs the sum of their squares instead, needs no mask, and no padding either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import eager_mask, sdpa_mask
from transformers.models.gpt_neo.modeling_gpt_neo import GPTNeoSelfAttention

from tunesmith.evaluation.scoring import without_adapter
from tunesmith.training.attention import GPT_NEO, is_written_out, window_of
from tunesmith.training.written_attention import WrittenAttention

NAME = "tunesmith_by_row"
NAME_OF_EAGER = "tunesmith_by_row_or_eager"


class _Current:
    """The rows of the pass that is being computed, forward or backward, in this process."""

    lengths: list[int] | None = None
    calls = 0


@contextmanager
def rows_of(lengths: Sequence[int] | None) -> Iterator[None]:
    """Within, a sequence consists of rows of these lengths; with None attention is torch's own.

    The backward pass belongs within too: activations that are computed again attend again.
    """
    before, _Current.lengths = _Current.lengths, None if lengths is None else list(lengths)
    try:
        yield
    finally:
        _Current.lengths = before


def attends_by_row(model: Any, max_length: int) -> bool:
    """Let `model` attend row by row within `rows_of`, where it can: then True.

    It can on a processor where attention is torch's fused one behind transformers' AttentionInterface, or GPT-Neo's,
    and no layer's window is shorter than the rows.
    """
    base = without_adapter(model)
    window = window_of(base.config.get_text_config().to_dict())
    if next(base.parameters()).device.type != "cpu" or (window is not None and window < max_length):
        return False
    if base.config._attn_implementation == "sdpa":
        AttentionInterface.register(NAME, _attend)
        AttentionMaskInterface.register(NAME, _mask)
        base.set_attn_implementation(NAME)
    elif base.config._attn_implementation == "eager" and base.config.model_type == GPT_NEO:
        AttentionMaskInterface.register(NAME_OF_EAGER, _mask_of_eager)
        base.config._attn_implementation_internal = NAME_OF_EAGER  # it cannot be set once the layers are made
        for layer in _gpt_neo_attention(base):
            layer._attn = partial(_attend_in_gpt_neo, layer)
    if _calls_in_a_pass(model) < base.config.get_text_config().num_hidden_layers:
        attends_as_loaded(model)
        return False
    return True


def attends_as_loaded(model: Any) -> None:
    """Undo `attends_by_row`."""
    base = without_adapter(model)
    if base.config._attn_implementation == NAME:
        base.set_attn_implementation("sdpa")
    elif base.config._attn_implementation == NAME_OF_EAGER:
        base.config._attn_implementation_internal = "eager"
        for layer in _gpt_neo_attention(base):
            del layer._attn


def _gpt_neo_attention(model: Any) -> Iterator[Any]:
    return (module for module in model.modules() if type(module) is GPTNeoSelfAttention)


def _calls_in_a_pass(model: Any) -> int:
    ids = torch.zeros(1, 3, dtype=torch.long)
    before = _Current.calls
    with torch.no_grad(), torch.random.fork_rng(), rows_of([1, 2]):
        model(input_ids=ids, position_ids=torch.tensor([[0, 0, 1]]), use_cache=False)
    return _Current.calls - before


def _attend(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: Any,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Queries, keys and values are [1, heads, tokens, head size]; returns [1, tokens, heads, head size]."""
    lengths = _Current.lengths
    if lengths is None:
        attended: tuple[torch.Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, **options
        )
        return attended
    groups = query.shape[1] // key.shape[1]
    key, value = (repeat_kv(each, groups) if groups > 1 else each for each in (key, value))
    scale, dropout = options.get("scaling") or query.shape[-1] ** -0.5, options.get("dropout", 0.0)
    return _rows(query, key, value, lengths, scale, dropout).transpose(1, 2).contiguous(), None


def _attend_in_gpt_neo(
    layer: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: Any = None
) -> tuple[torch.Tensor, Any]:
    """Its own attention does not scale, and takes and returns [sequences, heads, tokens, head size]."""
    lengths = _Current.lengths
    if lengths is None:
        attended: tuple[torch.Tensor, Any] = GPTNeoSelfAttention._attn(
            layer, query, key, value, attention_mask
        )
        return attended
    dropout = layer.attn_dropout.p if layer.training else 0.0
    return _rows(query, key, value, lengths, 1.0, dropout), None


def _rows(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    lengths: list[int],
    scale: float,
    dropout: float,
) -> torch.Tensor:
    _Current.calls += 1
    rows = zip(query.split(lengths, 2), key.split(lengths, 2), value.split(lengths, 2), strict=True)
    return torch.cat([_one_row(*row, scale, dropout) for row in rows], dim=2)


def _one_row(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, dropout: float
) -> torch.Tensor:
    if dropout == 0 and is_written_out(query.dtype is torch.bfloat16, query.shape[3], query.shape[2]):
        attended: torch.Tensor = WrittenAttention.apply(query, key, value, scale)
        return attended
    return torch.nn.functional.scaled_dot_product_attention(
        query, key, value, dropout_p=dropout, is_causal=True, scale=scale
    )


def _mask_of_eager(*arguments: Any, **options: Any) -> torch.Tensor | None:
    if _Current.lengths is not None:
        return None
    mask: torch.Tensor | None = eager_mask(*arguments, **options)
    return mask


def _mask(*arguments: Any, **options: Any) -> torch.Tensor | None:
    if _Current.lengths is not None:
        return None
    mask: torch.Tensor | None = sdpa_mask(*arguments, **options)
    return mask

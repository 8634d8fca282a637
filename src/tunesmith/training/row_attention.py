"""Attention over rows that follow each other in one sequence, each row by itself.

torch's fused attention on a processor computes all of a packed sequence's scores, those that its mask hides too. Going
through the rows one by one costs the sum of their squares instead, needs no mask, and no padding either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import repeat_kv, sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from tunesmith.evaluation.scoring import without_adapter
from tunesmith.training.attention import window_of

NAME = "tunesmith_by_row"
_SHORT_ROW = 256
"""Up to here bfloat16 scores are written out: on a processor that is two to three times as fast as torch's fused kernel
and its gradient, and takes little memory."""


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

    It can on a processor where attention is torch's fused one behind transformers' AttentionInterface, and no layer's
    window is shorter than the rows.
    """
    base = without_adapter(model)
    window = window_of(base.config.get_text_config().to_dict())
    if (
        next(base.parameters()).device.type != "cpu"
        or base.config._attn_implementation != "sdpa"
        or (window is not None and window < max_length)
    ):
        return False
    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, _mask)
    base.set_attn_implementation(NAME)
    if _calls_in_a_pass(model) < base.config.get_text_config().num_hidden_layers:
        base.set_attn_implementation("sdpa")
        return False
    return True


def attends_as_loaded(model: Any) -> None:
    """Undo `attends_by_row`."""
    base = without_adapter(model)
    if base.config._attn_implementation == NAME:
        base.set_attn_implementation("sdpa")


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
    _Current.calls += 1
    groups = query.shape[1] // key.shape[1]
    key, value = (repeat_kv(each, groups) if groups > 1 else each for each in (key, value))
    scale, dropout = options.get("scaling") or query.shape[-1] ** -0.5, options.get("dropout", 0.0)
    rows = zip(query.split(lengths, 2), key.split(lengths, 2), value.split(lengths, 2), strict=True)
    return torch.cat([_one_row(*row, scale, dropout) for row in rows], dim=2).transpose(
        1, 2
    ).contiguous(), None


def _one_row(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float, dropout: float
) -> torch.Tensor:
    tokens = query.shape[2]
    if query.dtype is not torch.bfloat16 or tokens > _SHORT_ROW:
        return torch.nn.functional.scaled_dot_product_attention(
            query, key, value, dropout_p=dropout, is_causal=True, scale=scale
        )
    later = torch.ones(tokens, tokens, dtype=torch.bool, device=query.device).triu(1)
    scores = (query @ key.transpose(2, 3)).float().mul_(scale).masked_fill_(later, float("-inf"))
    weights = torch.softmax(scores, dim=-1).to(value.dtype)
    return torch.nn.functional.dropout(weights, dropout) @ value


def _mask(*arguments: Any, **options: Any) -> torch.Tensor | None:
    if _Current.lengths is not None:
        return None
    mask: torch.Tensor | None = sdpa_mask(*arguments, **options)
    return mask

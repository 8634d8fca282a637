from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from tunesmith.training.attention import is_written_out
from tunesmith.training.written_attention import WrittenAttention

HEADS = 3


def states(tokens: int, head_size: int, dtype: torch.dtype) -> list[torch.Tensor]:
    """Queries, keys, values and the gradient of what comes out, laid out as a model hands them over."""
    torch.manual_seed(tokens)
    drawn = [torch.randn(1, tokens, HEADS, head_size, dtype=dtype).transpose(1, 2) for _ in range(4)]
    return [each.requires_grad_() for each in drawn[:3]] + drawn[3:]


@pytest.mark.parametrize("head_size", [8, 64])
@pytest.mark.parametrize("tokens", [1, 2, 50, 200])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 5e-2)])
def test_it_gives_what_torchs_own_attention_gives_and_its_gradients(
    head_size: int, tokens: int, dtype: torch.dtype, tolerance: float
) -> None:
    *given, slope = states(tokens, head_size, dtype)
    exact = [each.detach().double().requires_grad_() for each in given]

    ours = WrittenAttention.apply(*given, 0.25)
    theirs = scaled_dot_product_attention(*exact, is_causal=True, scale=0.25)
    ours.backward(slope)
    theirs.backward(slope.double())

    assert ours.dtype == dtype
    for found, wanted in [(ours, theirs), *((a.grad, b.grad) for a, b in zip(given, exact, strict=True))]:
        assert torch.allclose(found.double(), wanted, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize(
    ("bfloat16", "head_size", "tokens", "wanted"),
    [(True, 64, 20, True), (True, 64, 256, True), (True, 64, 257, False), (False, 8, 20, False), (False, 8, 200, True),
     (False, 8, 300, False), (False, 64, 200, False)],
)  # fmt: skip
def test_it_is_used_where_it_was_measured_to_be_faster(
    bfloat16: bool, head_size: int, tokens: int, wanted: bool
) -> None:
    assert is_written_out(bfloat16, head_size, tokens) is wanted

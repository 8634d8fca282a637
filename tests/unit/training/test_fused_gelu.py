from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from transformers import AutoModelForCausalLM
from transformers.activations import ACT2FN

from tests.training.architectures import small_config
from tunesmith.training.fused_gelu import fuse_gelu


@pytest.mark.parametrize("written_out", ["gelu_new", "gelu_fast"])
def test_one_operation_gives_what_eight_gave(written_out: str) -> None:
    model = torch.nn.Sequential(ACT2FN[written_out])
    states = torch.linspace(-6, 6, 1001, requires_grad=True)
    (slope,) = torch.autograd.grad(model(states).sum(), states)
    before = model(states)

    fuse_gelu(model)

    assert isinstance(model[0], torch.nn.GELU)
    assert torch.allclose(model(states), before, atol=1e-6)
    assert torch.allclose(torch.autograd.grad(model(states).sum(), states)[0], slope, atol=1e-5)


def test_a_model_that_writes_it_out_says_the_same_afterwards() -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(deepcopy(small_config("gpt2"))).eval()
    ids = torch.tensor([[5, 7, 9, 30]])
    before = model(input_ids=ids).logits

    fuse_gelu(model)

    assert any(isinstance(module, torch.nn.GELU) for module in model.modules())
    assert torch.allclose(model(input_ids=ids).logits, before, atol=1e-5)


def test_other_activations_stay() -> None:
    model = torch.nn.Sequential(ACT2FN["gelu"], ACT2FN["silu"], ACT2FN["quick_gelu"])
    before = list(model)

    fuse_gelu(model)

    assert list(model) == before

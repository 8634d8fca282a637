from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from tunesmith.training.cheap_dropout import CheapDropout, cheapen_dropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("p", [0.05, 0.5, 0.9])
def test_it_drops_the_share_it_is_told_to_and_keeps_the_mean(p: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    dropped = CheapDropout(p)(torch.ones(7, 100, 301, dtype=dtype))

    assert float((dropped == 0).double().mean()) == pytest.approx(p, abs=0.005)
    assert float(dropped.double().mean()) == pytest.approx(1, rel=0.02)
    assert dropped.dtype == dtype


def test_neighbours_are_dropped_independently() -> None:
    """Four of them come from one number."""
    torch.manual_seed(0)
    zero = CheapDropout(0.5)(torch.ones(400_000)) == 0

    for distance in (1, 2, 3, 4):
        both = float((zero[distance:] & zero[:-distance]).double().mean())
        assert both == pytest.approx(0.25, abs=0.005)


def test_gradients_flow_where_states_were_kept_alone() -> None:
    states = torch.ones(1000, requires_grad=True)
    dropped = CheapDropout(0.3)(states)
    dropped.sum().backward()

    assert torch.equal(states.grad, dropped.detach())


def test_the_same_random_state_drops_the_same_and_another_draw_something_else() -> None:
    dropout, states = CheapDropout(0.5), torch.ones(1000)
    torch.manual_seed(3)
    first, second = dropout(states), dropout(states)
    torch.manual_seed(3)

    assert torch.equal(dropout(states), first)
    assert not torch.equal(first, second)


def test_nothing_is_dropped_in_evaluation() -> None:
    states = torch.ones(10)

    assert torch.equal(CheapDropout(0.5).eval()(states), states)


def test_loras_dropout_is_replaced_with_its_probability_and_nothing_else_changes() -> None:
    sizes = {"vocab_size": 20, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    model = get_peft_model(
        LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=2)),
        LoraConfig(r=2, lora_dropout=0.25, target_modules=["q_proj", "v_proj"]),
    )
    names = list(model.state_dict())
    cheapen_dropout(model)

    found = [module for module in model.modules() if isinstance(module, CheapDropout)]
    assert [module.p for module in found] == [0.25, 0.25]
    assert list(model.state_dict()) == names
    model(input_ids=torch.tensor([[1, 2, 3]]))

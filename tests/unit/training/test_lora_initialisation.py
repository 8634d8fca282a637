from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.training import tiny
from tunesmith.training.adapter import save_adapter
from tunesmith.training.methods import attach
from tunesmith.training.model import load_model

VARIANTS = {
    "default": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "pissa": {"init_lora_weights": "pissa"},
    "olora": {"init_lora_weights": "olora"},
    "pissa, rslora": {"init_lora_weights": "pissa", "use_rslora": True},
    "olora, rslora": {"init_lora_weights": "olora", "use_rslora": True},
}


def fresh(base: Path, **chosen: Any) -> Any:
    model = load_model(base, precision="float32", quantization=None, for_training=True)
    return attach(model, tiny.plan_config(target_modules=["q_proj", "v_proj", "down_proj"], **chosen))


def learn(model: Any) -> None:
    """A few large steps, so that nothing stays as it was."""
    import torch

    ids = torch.arange(2, 42).reshape(2, 20)
    optimizer = torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=0.5)
    for _ in range(4):
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def logits(model: Any) -> Any:
    import torch

    with torch.no_grad():
        return model.eval()(input_ids=torch.arange(5, 35).unsqueeze(0)).logits


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_adapter_that_was_saved_gives_the_same_logits_on_the_original_base(
    variant: str, base: Path, store: Any
) -> None:
    """In plain PEFT: PiSSA and OLoRA train beside a base that they have changed."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = fresh(base, **VARIANTS[variant])
    learn(model)
    folder = save(model, base, store)

    original = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    untuned = logits(original)
    reloaded = PeftModel.from_pretrained(original, folder)

    assert not torch.allclose(logits(model), untuned, atol=1e-2)
    torch.testing.assert_close(logits(reloaded), logits(model), atol=2e-5, rtol=1e-4)
    with reloaded.disable_adapter():
        torch.testing.assert_close(logits(reloaded), untuned)


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_adapter_begins_where_the_base_is(variant: str, base: Path) -> None:
    import torch

    plain = load_model(base, precision="float32", quantization=None, for_training=False)

    torch.testing.assert_close(logits(fresh(base, **VARIANTS[variant])), logits(plain), atol=2e-5, rtol=1e-4)


def test_what_is_saved_of_pissa_says_that_it_is_an_ordinary_lora_of_twice_the_rank(
    base: Path, store: Any
) -> None:
    folder = save(fresh(base, init_lora_weights="pissa", r=3, alpha=9), base, store)

    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["r"], config["lora_alpha"], config["init_lora_weights"]) == (6, 18, True)
    assert config["inference_mode"] is True


def test_pissa_begins_anew_where_it_began(base: Path) -> None:
    """A resumed run attaches again before it reads its checkpoint: the base has to be the same."""
    import torch

    first, second = (fresh(base, init_lora_weights="pissa") for _ in range(2))
    base_weights = [
        [weight for name, weight in model.named_parameters() if "base_layer" in name]
        for model in (first, second)
    ]

    assert base_weights[0]
    for one, other in zip(*base_weights, strict=True):
        assert torch.equal(one, other)


def save(model: Any, base: Path, store: Any) -> Path:
    dataset = tiny.add_dataset(store, tiny.green_rows(8))
    plan = tiny.make_plan(store, tiny.configure_request(base, dataset, max_steps=1))
    paths = tiny.make_run(store, plan).paths
    paths.scratch.mkdir()
    save_adapter(model, tiny.byte_tokenizer(), plan, paths, paths.scratch)
    return Path(paths.adapter)

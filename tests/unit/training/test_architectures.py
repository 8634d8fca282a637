from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.training.architectures import causal_types, small_model
from tests.training.tiny import plan_config
from tunesmith.schemas.errors import UnsupportedModel
from tunesmith.training.method_trial import why_it_fails
from tunesmith.training.methods import peft_config
from tunesmith.training.targets import (
    ALL_LINEAR,
    adapted,
    adapter_parameters,
    matrices_of,
    resolve_targets,
)

OWN_NAMES = {
    "bloom": ["query_key_value"],
    "codegen": ["qkv_proj"],
    "cohere2": ["q_proj", "v_proj"],
    "deepseek_v3": ["q_b_proj", "kv_b_proj"],
    "falcon": ["query_key_value"],
    "gemma": ["q_proj", "v_proj"],
    "gemma2": ["q_proj", "v_proj"],
    "gemma3_text": ["q_proj", "v_proj"],
    "gpt2": ["c_attn"],
    "gpt_bigcode": ["c_attn"],
    "gpt_neo": ["q_proj", "v_proj"],
    "gpt_neox": ["query_key_value"],
    "gpt_oss": ["q_proj", "v_proj"],
    "gptj": ["q_proj", "v_proj"],
    "granite": ["q_proj", "v_proj"],
    "llama": ["q_proj", "v_proj"],
    "mamba": ["in_proj", "x_proj"],
    "mistral": ["q_proj", "v_proj"],
    "mixtral": ["q_proj", "v_proj"],
    "mpt": ["Wqkv"],
    "olmo2": ["q_proj", "v_proj"],
    "opt": ["q_proj", "v_proj"],
    "phi": ["q_proj", "v_proj"],
    "phi3": ["qkv_proj"],
    "qwen2": ["q_proj", "v_proj"],
    "qwen3": ["q_proj", "v_proj"],
    "qwen3_5_text": ["q_proj", "v_proj", "in_proj_qkv"],
    "qwen3_moe": ["q_proj", "v_proj"],
    "rwkv": ["receptance", "value"],
    "smollm3": ["q_proj", "v_proj"],
    "stablelm": ["q_proj", "v_proj"],
    "starcoder2": ["q_proj", "v_proj"],
}
WITHOUT_NAMES = {"moshi"}
"""Their queries and values have no names of their own; the error says what they have."""


@pytest.fixture(scope="module")
def every_model() -> dict[str, Any]:
    """A small model, without numbers, of each architecture that can be built so."""
    found = {name: small_model(name, "meta") for name in causal_types()}
    return {name: model for name, model in found.items() if model is not None}


@pytest.mark.parametrize("model_type", OWN_NAMES)
def test_peft_adapts_an_architectures_own_queries_and_values(model_type: str) -> None:
    matrices = matrices_of(small_model(model_type, "meta"))
    names, why = resolve_targets(None, matrices)

    assert names == OWN_NAMES[model_type]
    assert why
    for targets in (names, resolve_targets([ALL_LINEAR], matrices)[0]):
        assert adapted_by_peft(model_type, targets) == {matrix.name for matrix in adapted(targets, matrices)}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_peft_adapts_just_the_matrices_that_were_chosen_on_every_architecture(
    every_model: dict[str, Any],
) -> None:
    assert len(every_model) > 110
    for name, model in every_model.items():
        matrices = matrices_of(model)
        head = model.get_output_embeddings()
        heads = {key for key, module in model.named_modules() if module is head}
        assert not heads & {matrix.name for matrix in matrices}, name
        for wanted in (None, [ALL_LINEAR]):
            try:
                targets, _ = resolve_targets(wanted, matrices)
            except UnsupportedModel:
                assert name in WITHOUT_NAMES and wanted is None, name
                continue
            chosen = {matrix.name for matrix in adapted(targets, matrices)}
            assert adapted_by_peft(name, targets) == chosen, name


def adapted_by_peft(model_type: str, targets: list[str]) -> set[str]:
    """The matrices that PEFT really puts an adapter on; their weights are as many as were said."""
    import torch
    from peft import get_peft_model

    model = small_model(model_type, "meta")
    assert model is not None
    said = adapter_parameters(targets, matrices_of(model), 2)
    with torch.device("meta"):
        tuned = get_peft_model(model, peft_config(plan_config(target_modules=targets, r=2), model))
    learned = {key: value for key, value in tuned.named_parameters() if value.requires_grad}
    assert sum(parameter.numel() for parameter in learned.values()) == said, model_type
    return {key.removeprefix("base_model.model.").partition(".lora_")[0] for key in learned}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_is_said_of_a_method_on_an_architecture_is_what_peft_then_does(
    every_model: dict[str, Any], tmp_path: Path
) -> None:
    """Attached, one step forward and back, and what is written is what the logits say."""
    wrong = []
    for name, model in every_model.items():
        folder = tmp_path / name
        model.config.save_pretrained(folder)
        for method in ("lora", "all-linear", "prompt_tuning", "prefix_tuning"):
            config = _config(method, matrices_of(model))
            if config is None:
                continue
            reason = why_it_fails(folder, config)
            happened = _what_happens(small_model(name), config)
            if (reason is None) != (happened is None):
                wrong.append(f"{name} {method}: said {reason}, happened {happened}")
    assert not wrong, "\n".join(wrong)


def _config(method: str, matrices: Any) -> Any | None:
    if method.startswith("pr"):
        return plan_config(tuning_method=method, num_virtual_tokens=4)
    try:
        targets, _ = resolve_targets([ALL_LINEAR] if method == ALL_LINEAR else None, matrices)
    except UnsupportedModel:
        return None
    return plan_config(target_modules=targets, r=2)


def _what_happens(model: Any, config: Any) -> str | None:
    import torch
    from peft import get_peft_model

    ids = torch.arange(3, 19).reshape(2, 8)
    try:
        tuned = get_peft_model(model, peft_config(config, model))
        tuned(input_ids=ids, attention_mask=torch.ones_like(ids), labels=ids, use_cache=False).loss.backward()
        return _what_is_written(tuned.eval(), ids[:1]) if config.num_virtual_tokens else None
    except Exception as error:  # noqa: BLE001 - what it is, is the result
        return f"{type(error).__name__}: {error}"[:120]


def _what_is_written(model: Any, ids: Any) -> str | None:
    import torch

    wanted = ids
    with torch.no_grad():
        for _ in range(3):
            mask = torch.ones_like(wanted)
            best = model(input_ids=wanted, attention_mask=mask, use_cache=False).logits[:, -1].argmax(-1)
            wanted = torch.cat([wanted, best[:, None]], dim=1)
        written = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=3,
            do_sample=False,
            pad_token_id=0,
            eos_token_id=None,
        )
    return None if written.tolist() == wanted.tolist() else "another text than its logits say"

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from tests.training import tiny
from tests.training.architectures import small_config
from tunesmith.schemas.errors import InvalidArgument, MissingExtra, UnsupportedModel
from tunesmith.training import model as model_module
from tunesmith.training.method_checks import check_method
from tunesmith.training.method_trial import why_it_fails
from tunesmith.training.targets import matrices_of


def check(folder: Path, model_type: str = "llama", **chosen: Any) -> list[str]:
    """check_method on a small model of an architecture: hidden size 32, keys and values of 16."""
    from transformers import AutoModelForCausalLM

    config = small_config(model_type)
    assert config is not None
    config.save_pretrained(folder)
    return check_method(
        folder, tiny.plan_config(**chosen), matrices_of(AutoModelForCausalLM.from_config(config))
    )


@pytest.mark.parametrize(
    "chosen",
    [
        {},
        {"use_dora": True, "use_rslora": True},
        {"init_lora_weights": "pissa"},
        {"init_lora_weights": "olora"},
        {"tuning_method": "qlora", "quantization": "nf4"},
        {"quantization": "int8", "use_dora": True},
        {"tuning_method": "full", "target_modules": None, "r": None},
        {"tuning_method": "prompt_tuning", "num_virtual_tokens": 4},
        {"tuning_method": "prefix_tuning", "num_virtual_tokens": 4},
    ],
    ids=str,
)
def test_every_method_can_be_had_on_a_llama(chosen: dict[str, Any], tmp_path: Path) -> None:
    assert check(tmp_path, **chosen) == []


def test_a_rank_beyond_every_matrix_is_refused_with_the_largest_that_makes_sense(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="r is 33") as told:
        check(tmp_path, r=33)
    assert "at most 32" in told.value.recovery


def test_a_rank_beyond_some_matrices_is_warned_of_by_name(tmp_path: Path) -> None:
    (warning,) = check(tmp_path, r=20)

    assert "v_proj" in warning and "q_proj" not in warning


@pytest.mark.parametrize("init", ["pissa", "olora"])
def test_a_decomposition_needs_a_rank_that_every_matrix_has(init: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="has only 16"):
        check(tmp_path, r=20, init_lora_weights=init)


@pytest.mark.parametrize("init", ["pissa", "olora"])
@pytest.mark.parametrize(
    "other", [{"quantization": "nf4"}, {"quantization": "int8"}, {"use_dora": True}], ids=str
)
def test_a_decomposition_that_could_not_be_written_for_the_original_base_is_refused(
    init: str, other: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(InvalidArgument, match=init):
        check(tmp_path, init_lora_weights=init, **other)


def test_olora_is_refused_where_peft_would_decompose_the_wrong_way_round(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="Conv1D"):
        check(tmp_path, "gpt2", init_lora_weights="olora", target_modules=["c_attn"])
    assert check(tmp_path, "gpt2", init_lora_weights="pissa", target_modules=["c_attn"]) == []


@pytest.mark.parametrize("model_type", ["falcon_h1", "jamba", "qwen3_next", "deepseek_v3", "roberta"])
def test_prefix_tuning_is_refused_where_the_architecture_cannot(model_type: str, tmp_path: Path) -> None:
    """State-space layers keep no keys, latent attention keeps others, RoBERTa's positions would shift."""
    with pytest.raises(UnsupportedModel, match="prefix_tuning") as told:
        check(tmp_path, model_type, tuning_method="prefix_tuning", num_virtual_tokens=4)
    assert "tuning_method='lora'" in told.value.recovery


def test_layers_that_peft_refuses_on_an_architecture_are_told_before_any_weights_are_loaded(
    tmp_path: Path,
) -> None:
    config = small_config("mamba")
    assert config is not None
    config.save_pretrained(tmp_path)

    reason = why_it_fails(tmp_path, tiny.plan_config(target_modules=["out_proj"]))

    assert reason is not None and "out_proj" in reason


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_quantizing_without_bitsandbytes_is_refused_with_what_to_install(
    quantization: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        model_module, "find_spec", lambda name: None if name == "bitsandbytes" else found(name)
    )
    with pytest.raises(MissingExtra, match="bitsandbytes") as told:
        check(tmp_path, tuning_method="qlora", quantization=quantization)
    assert "pip install" in told.value.recovery

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.training import tiny
from tunesmith.schemas.enums import ComputeBudget, DatasetSize, TuningMethod
from tunesmith.schemas.errors import InvalidArgument, UnsupportedModel
from tunesmith.schemas.overrides import check_overrides
from tunesmith.schemas.plans import ConfigureRequest
from tunesmith.training.attention import AttentionFacts
from tunesmith.training.facts import DataFacts, ModelFacts
from tunesmith.training.hardware import Hardware, processor_has_bfloat16, processor_name
from tunesmith.training.learning_rates import scaled_learning_rate
from tunesmith.training.lengths import padding_share
from tunesmith.training.planning import Decision, decide
from tunesmith.training.rendering import Rendered
from tunesmith.training.targets import Matrix, adapter_parameters, resolve_targets

GB = 10**9
LAPTOP = Hardware("cpu", "CPU", 16 * GB, bfloat16=False, cores=4)
WORKSTATION = Hardware("cuda", "NVIDIA A100", 40 * GB, bfloat16=True, cores=16)
OLD_GPU = Hardware("cuda", "NVIDIA T4", 15 * GB, bfloat16=False, cores=8)
EXAMPLE = Rendered([1, 2, 3], [-100, 2, 3])


def llama(hidden: int = 4096, layers: int = 32, parameters: int = 8 * GB, context: int = 8192) -> ModelFacts:
    matrices = [
        Matrix(f"model.layers.{layer}.self_attn.{name}", hidden, hidden)
        for layer in range(layers)
        for name in ("q_proj", "k_proj", "v_proj", "o_proj")
    ]
    return ModelFacts(
        hidden, layers, 4 * hidden, hidden // 4, 32_000, context, parameters, 2 * parameters, matrices
    )


def rows(
    count: int = 5000, lengths: list[int] | None = None, prompt: int = 20, dropped: int = 0
) -> DataFacts:
    lengths = sorted(lengths or [100] * 99 + [120])
    return DataFacts(count, lengths, [min(prompt, length - 1) for length in lengths], dropped, EXAMPLE)


def request(**chosen: Any) -> ConfigureRequest:
    return tiny.configure_request(Path("/models/base"), "ds-aaaaaaaaaaaaaaaa", **chosen)


def decided(
    model: ModelFacts | None = None,
    data: DataFacts | None = None,
    hardware: Hardware = WORKSTATION,
    dev_rows: int = 100,
    init_text_tokens: int | None = None,
    **chosen: Any,
) -> Decision:
    wanted = request(**chosen)
    check_overrides(wanted)
    return decide(
        wanted,
        model or llama(),
        data or rows(),
        hardware,
        base_revision=None,
        loss_on="completion",
        chat_template=None,
        dev_rows=dev_rows,
        init_text_tokens=init_text_tokens,
    )


def test_the_documented_defaults_hold_for_a_model_of_usual_size() -> None:
    config = decided().config

    assert (config.learning_rate, config.batch_size, config.epochs) == (2e-4, 8, 3)
    assert (config.r, config.alpha, config.dropout, config.target_modules) == (
        16,
        32,
        0.05,
        ["q_proj", "v_proj"],
    )
    assert (config.total_steps, config.warmup_steps) == (1875, 188)
    assert (config.eval_steps, config.save_steps) == (100, 468)
    assert (config.quantization, config.precision, config.dataset_size) == (None, "bfloat16", "medium")
    assert (
        decided(tuning_method="full", hardware=Hardware("cuda", "H", 400 * GB, True, 8)).config.learning_rate
        == 2e-5
    )
    assert decided(tuning_method="qlora").config.quantization == "nf4"


def test_every_number_has_a_reason() -> None:
    decision = decided()
    told = {"base_model", "base_model_kind", "base_model_path", "base_model_revision", "tuning_method"}
    told |= {"compute_budget", "seed", "metric", "logging_steps"}
    numbers = {name for name, value in decision.config.model_dump().items() if value is not None}

    assert numbers - told <= set(decision.reasons)


@pytest.mark.parametrize("method", list(TuningMethod))
def test_every_override_is_honoured(method: TuningMethod) -> None:
    chosen: dict[str, Any] = {
        "learning_rate": 1e-3,
        "batch_size": 6,
        "epochs": 0.5,
        "max_length": 64,
        "seed": 7,
    }
    if method in (TuningMethod.LORA, TuningMethod.QLORA):
        chosen |= {"r": 4, "alpha": 5, "dropout": 0.2, "target_modules": ["o_proj"], "quantization": "nf4"}
    config = decided(tuning_method=method, dataset_size="large", compute_budget="low", **chosen).config

    assert {name: getattr(config, name) for name in chosen} == chosen
    assert (config.dataset_size, config.compute_budget) == (DatasetSize.LARGE, ComputeBudget.LOW)
    assert config.total_steps == 417


@pytest.mark.parametrize(
    "chosen",
    [
        {"r": 0},
        {"alpha": 0},
        {"dropout": 1.0},
        {"dropout": -0.1},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"learning_rate": -1e-4},
        {"epochs": 0.0},
        {"max_steps": 0},
        {"max_length": 7},
        {"seed": -1},
        {"target_modules": []},
        {"target_modules": ["lm_head"]},
        {"target_modules": ["q_proj", "c_attn"]},
        {"max_length": 9000},
        {"batch_size": 6000},
        {"tuning_method": "prompt_tuning", "r": 16},
        {"tuning_method": "full", "dropout": 0.1},
        {"tuning_method": "prefix_tuning", "target_modules": ["q_proj"]},
        {"tuning_method": "full", "quantization": "nf4"},
        {"tuning_method": "prompt_tuning", "quantization": "nf4"},
    ],
)
def test_a_number_that_cannot_be_honoured_is_refused_by_name(chosen: dict[str, Any]) -> None:
    name = next(name for name in reversed(chosen) if name != "tuning_method")

    with pytest.raises(InvalidArgument, match=name):
        decided(**chosen)


def test_a_prompt_method_leaves_room_for_its_virtual_tokens_in_the_models_context() -> None:
    small = llama(context=128)
    long_rows = rows(lengths=[500])

    assert decided(small, long_rows).config.max_length == 128
    config = decided(small, long_rows, tuning_method="prompt_tuning").config
    assert config.max_length + (config.num_virtual_tokens or 0) == 128
    with pytest.raises(InvalidArgument, match="virtual"):
        decided(small, tuning_method="prefix_tuning", max_length=120)


def test_narrow_models_get_a_larger_rate_by_a_stated_rule() -> None:
    narrow = decided(llama(hidden=96, layers=4, parameters=400_000))

    assert narrow.config.learning_rate == scaled_learning_rate(TuningMethod.LORA, 96) == 2.2e-3
    assert "0.781" in narrow.reasons["learning_rate"]
    assert any("our scaling rule" in warning for warning in narrow.warnings)
    assert scaled_learning_rate(TuningMethod.LORA, 2048) == 2e-4


@pytest.mark.parametrize(("rate", "warned"), [(9e-5, True), (1e-4, False), (3e-4, False), (4e-4, True)])
def test_a_lora_rate_outside_the_usual_range_is_warned_of(rate: float, warned: bool) -> None:
    warnings = decided(learning_rate=rate).warnings

    assert any("usual range" in warning for warning in warnings) == warned
    assert not any("our scaling rule" in warning for warning in warnings)


def test_max_steps_count_instead_of_epochs() -> None:
    config = decided(max_steps=10).config
    both = decided(max_steps=10, epochs=2)

    assert (config.total_steps, config.epochs, config.warmup_steps) == (10, 0.02, 1)
    assert (config.eval_steps, config.save_steps) == (2, 2)
    assert both.config.total_steps == 10
    assert any("epochs 2 does not" in warning for warning in both.warnings)


def test_small_datasets_and_large_budgets_get_more_passes() -> None:
    epochs = {
        (size, budget): decided(data=rows(count), compute_budget=budget).config.epochs
        for size, count in (("small", 300), ("medium", 5000))
        for budget in ("low", "medium", "high")
    }

    assert epochs["small", "low"] < epochs["small", "medium"] < epochs["small", "high"]
    assert epochs["medium", "medium"] == 3
    assert epochs["small", "medium"] == 3
    assert epochs["small", "high"] > epochs["medium", "high"]


def test_a_dataset_size_that_does_not_match_the_rows_is_honoured_and_warned_of() -> None:
    decision = decided(data=rows(50), dataset_size="large")

    assert decision.config.dataset_size is DatasetSize.LARGE
    assert any("50 rows are 'small'" in warning for warning in decision.warnings)


def test_the_length_follows_the_rows_but_not_a_single_outlier() -> None:
    assert decided(data=rows(lengths=[100] * 99 + [120])).config.max_length == 128
    outlier = decided(data=rows(lengths=[100] * 199 + [7000]))
    assert outlier.config.max_length == 112
    assert "0.5% of the rows are cut" in outlier.reasons["max_length"]


def test_rows_that_are_cut_or_cannot_be_used_are_warned_of() -> None:
    cut = decided(data=rows(lengths=[100] * 100), max_length=50)
    assert any("100% of the rows are longer" in warning for warning in cut.warnings)
    unusable = decided(data=rows(count=100, lengths=[50] * 75 + [100] * 25, prompt=80), max_length=60)
    assert any("About 25 of 100 rows" in warning for warning in unusable.warnings)
    assert unusable.config.total_steps == decided(data=rows(count=75), max_length=60).config.total_steps


def test_precision_follows_the_hardware() -> None:
    tiny_model = llama(hidden=96, layers=4, parameters=400_000)

    assert decided(tiny_model, hardware=LAPTOP).config.precision == "float32"
    assert decided(llama(parameters=3 * GB), hardware=LAPTOP).config.precision == "bfloat16"
    assert decided(tiny_model, hardware=OLD_GPU).config.precision == "float16"
    assert decided(tiny_model, hardware=OLD_GPU, tuning_method="full").config.precision == "float32"


def test_what_does_not_fit_is_split_then_recomputed_then_warned_of() -> None:
    roomy = decided(hardware=Hardware("cuda", "big", 200 * GB, True, 8)).config
    assert (roomy.micro_batch_size, roomy.gradient_accumulation_steps) == (8, 1)
    tight = decided(
        hardware=Hardware("cuda", "small", 30 * GB, True, 8), max_length=512, data=rows(lengths=[512])
    ).config
    assert tight.micro_batch_size < 8
    assert tight.micro_batch_size * tight.gradient_accumulation_steps == 8
    long_rows = rows(lengths=[8000])
    recomputed = decided(hardware=Hardware("cuda", "small", 22 * GB, True, 8), data=long_rows)
    assert recomputed.config.activation_checkpointing
    prefix = decided(
        hardware=Hardware("cuda", "small", 22 * GB, True, 8), data=long_rows, tuning_method="prefix_tuning"
    )
    assert not prefix.config.activation_checkpointing, "it crashes prefix tuning"
    hopeless = decided(hardware=Hardware("cuda", "tiny", 4 * GB, True, 8))
    assert any("GB are needed" in warning for warning in hopeless.warnings)


def test_memory_is_told_by_component_and_orders_the_methods_as_they_are() -> None:
    used = {
        method: decided(
            llama(parameters=2 * GB),
            tuning_method=method,
            hardware=Hardware("cuda", "big", 900 * GB, True, 8),
        ).memory
        for method in TuningMethod
    }
    for memory in used.values():
        assert set(memory) == {
            *("weights", "adapter", "gradients", "optimizer", "activations", "logits", "quantization"),
            "framework",
        }
    weights = {method: memory["weights"] for method, memory in used.items()}
    assert weights[TuningMethod.FULL] > weights[TuningMethod.LORA] > weights[TuningMethod.QLORA]
    assert sum(used[TuningMethod.FULL].values()) > sum(used[TuningMethod.LORA].values())
    assert used[TuningMethod.FULL]["optimizer"] == 8 * 2 * GB
    assert used[TuningMethod.LORA]["adapter"] == 4 * 16 * 64 * 2 * 4096


def test_more_steps_and_a_slower_machine_take_longer() -> None:
    assert decided(max_steps=2000).estimated_seconds > decided(max_steps=1000).estimated_seconds
    assert decided(hardware=LAPTOP).estimated_seconds > decided().estimated_seconds


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["q_proj", "k_proj", "v_proj", "out_proj"], ["q_proj", "v_proj"]),
        (["query_key_value", "dense"], ["query_key_value"]),
        (["c_attn", "c_proj"], ["c_attn"]),
        (["qkv_proj", "o_proj"], ["qkv_proj"]),
        (["Wqkv", "out_proj"], ["Wqkv"]),
    ],
)
def test_each_architecture_gets_its_own_names_for_queries_and_values(
    names: list[str], expected: list[str]
) -> None:
    matrices = [Matrix(f"layers.0.{name}", 4, 4) for name in names]

    assert resolve_targets(None, matrices)[0] == expected


def test_target_modules_can_be_named_or_all_taken() -> None:
    matrices = [Matrix(f"layers.{layer}.{name}", 4, 8) for layer in (0, 1) for name in ("c_attn", "c_proj")]

    assert resolve_targets(["c_proj"], matrices)[0] == ["c_proj"]
    assert resolve_targets(["all-linear"], matrices)[0] == ["c_attn", "c_proj"]
    assert adapter_parameters(["c_proj"], matrices, r=2) == 2 * 2 * 12
    with pytest.raises(InvalidArgument, match=r"q_proj.*c_attn, c_proj"):
        resolve_targets(["q_proj"], matrices)
    with pytest.raises(UnsupportedModel, match="mystery"):
        resolve_targets(None, [Matrix("layers.0.mystery", 4, 4)])


def test_a_rate_left_to_a_range_test_begins_at_the_usual_one() -> None:
    automatic = decided(learning_rate="auto")

    assert (automatic.config.learning_rate, automatic.config.learning_rate_probe) == (2e-4, True)
    assert "usual rate for lora" in automatic.reasons["learning_rate"]
    assert not decided().config.learning_rate_probe


def test_the_largest_models_take_half_the_rate() -> None:
    assert decided(llama(hidden=8192, parameters=70 * GB), tuning_method="qlora").config.learning_rate == 1e-4


def test_a_run_stops_early_only_where_somebody_watches_and_nobody_said_how_long() -> None:
    assert decided().config.early_stopping_patience == 3
    assert decided(epochs=2).config.early_stopping_patience is None
    assert decided(max_steps=50).config.early_stopping_patience is None
    assert decided(dev_rows=0).config.early_stopping_patience is None


def test_without_a_golden_set_nothing_is_seen_more_than_four_times() -> None:
    few = rows(300)

    assert decided(data=few, compute_budget="high", dev_rows=0).config.epochs == 4
    assert decided(data=few, compute_budget="high").config.epochs == 10


def test_a_high_budget_adapts_every_linear_layer() -> None:
    assert decided(compute_budget="high").config.target_modules == ["k_proj", "o_proj", "q_proj", "v_proj"]
    chosen = decided(compute_budget="high", target_modules=["o_proj"]).config
    assert chosen.target_modules == ["o_proj"]


def test_rows_share_sequences_where_that_saves_padding() -> None:
    uneven = rows(lengths=list(range(20, 420)))

    assert decided(data=uneven).config.packing
    assert not decided(data=rows(lengths=[100] * 50)).config.packing
    soft = decided(data=uneven, tuning_method="prompt_tuning")
    assert not soft.config.packing and "soft prompt" in soft.reasons["packing"]
    state_space = replace(llama(), attention=AttentionFacts("mamba", ("eager",), packs=False))
    refused = decided(state_space, uneven)
    assert not refused.config.packing and "mamba" in refused.reasons["packing"]
    assert refused.config.attn_implementation == "eager"


def test_padding_is_what_the_longest_row_of_a_batch_adds() -> None:
    assert padding_share([100] * 10, 8) == 0
    assert padding_share([10, 1000], 1) == 0
    assert 0.3 < padding_share([10, 1000], 8) < 0.6


def test_flash_attention_is_used_where_it_is_installed_and_rows_stand_alone() -> None:
    installed = replace(WORKSTATION, flash_attention=True)
    able = replace(llama(), attention=AttentionFacts("llama", ("sdpa", "eager", "flash_attention_2")))

    assert decided(able, hardware=installed).config.attn_implementation == "flash_attention_2"
    assert decided(able).config.attn_implementation == "sdpa"
    packed = decided(able, rows(lengths=list(range(20, 420))), installed)
    assert packed.config.packing and packed.config.attn_implementation == "sdpa"


def test_the_optimizer_is_rounded_only_where_all_weights_learn_and_would_not_fit() -> None:
    one = llama(parameters=GB)

    assert decided(one).config.optim == "adamw_torch_fused"
    assert decided(one, hardware=LAPTOP).config.optim == "adamw_torch"
    assert decided(one, tuning_method="full", hardware=OLD_GPU).config.optim == "adamw_8bit"
    without = replace(OLD_GPU, bitsandbytes=False)
    assert decided(one, tuning_method="full", hardware=without).config.optim == "adamw_torch_fused"


def test_a_processor_that_multiplies_bfloat16_uses_it_for_a_frozen_base_of_some_size() -> None:
    server = replace(LAPTOP, bfloat16=True)
    base = llama(hidden=576, layers=30, parameters=135_000_000)

    assert decided(base, hardware=server).config.precision == "bfloat16"
    assert decided(base, hardware=LAPTOP).config.precision == "float32"
    assert decided(base, hardware=server, tuning_method="full").config.precision == "float32"


def test_an_old_mac_computes_in_float32() -> None:
    assert decided(hardware=Hardware("mps", "Apple GPU", 40 * GB, False, 8)).config.precision == "float32"


@pytest.mark.parametrize(
    "chosen",
    [
        {"num_virtual_tokens": 10},
        {"prompt_tuning_init_text": "Sort it:"},
        {"tuning_method": "prefix_tuning", "prompt_tuning_init_text": "Sort it:"},
        {"tuning_method": "prompt_tuning", "prompt_tuning_init_text": " "},
        {"tuning_method": "prompt_tuning", "num_virtual_tokens": 0},
        {"tuning_method": "prompt_tuning", "num_virtual_tokens": 4000},
        {"tuning_method": "full", "use_dora": True},
        {"tuning_method": "prefix_tuning", "use_rslora": True},
        {"tuning_method": "full", "init_lora_weights": "pissa"},
        {"tuning_method": "qlora", "init_lora_weights": "olora"},
        {"quantization": "int8", "init_lora_weights": "pissa"},
        {"tuning_method": "prompt_tuning", "quantization": "int8"},
        {"learning_rate": 10.0},
    ],
)
def test_an_option_that_the_method_does_not_know_is_refused_by_name(chosen: dict[str, Any]) -> None:
    name = next(name for name in reversed(chosen) if name != "tuning_method")

    with pytest.raises(InvalidArgument, match=name):
        decided(llama(context=4000), **chosen)


def test_the_options_of_the_methods_are_honoured() -> None:
    lora = decided(use_rslora=True, use_dora=True, init_lora_weights="pissa")
    assert (lora.config.use_rslora, lora.config.use_dora, lora.config.init_lora_weights) == (
        True,
        True,
        "pissa",
    )
    assert any("alpha / sqrt(r)" in warning for warning in lora.warnings)
    assert decided(tuning_method="qlora", quantization="int8").config.quantization == "int8"
    assert decided(tuning_method="prefix_tuning", num_virtual_tokens=7).config.num_virtual_tokens == 7


def test_a_soft_prompt_is_as_long_as_the_text_that_it_begins_as() -> None:
    text = {"tuning_method": "prompt_tuning", "prompt_tuning_init_text": "Sort the ticket:"}

    assert decided(init_text_tokens=5, **text).config.num_virtual_tokens == 5
    shorter = decided(init_text_tokens=5, num_virtual_tokens=3, **text)
    assert shorter.config.num_virtual_tokens == 3
    assert any("only its first 3" in warning for warning in shorter.warnings)


def test_the_usual_rank_gives_way_to_a_small_matrix() -> None:
    narrow = decided(llama(hidden=8, layers=1, parameters=1000))

    assert (narrow.config.r, narrow.config.alpha) == (8, 16)
    assert "more than 8" in narrow.reasons["r"]


def test_a_training_that_does_not_fit_names_what_would_make_it_fit() -> None:
    decision = decided(tuning_method="full")

    assert decision.fit == "does_not_fit"
    assert decision.remedies[0].arguments == {"tuning_method": "lora"}
    assert decision.remedies[0].fit == "fits"
    assert any("tuning_method='lora'" in warning for warning in decision.warnings)
    assert not decided().remedies and decided().fit == "fits"


def test_where_no_argument_helps_a_smaller_base_is_named() -> None:
    hopeless = decided(llama(parameters=70 * GB), tuning_method="full", hardware=LAPTOP)

    assert hopeless.fit == "does_not_fit" and not hopeless.remedies
    assert any("smaller base model" in warning for warning in hopeless.warnings)


def test_a_run_uses_one_of_several_accelerators_and_says_so() -> None:
    eight = decided(hardware=replace(WORKSTATION, count=8))

    assert eight.machine.startswith("8 x NVIDIA A100, of which a run uses one")
    assert any("a run uses one" in warning for warning in eight.warnings)


def test_evaluations_take_no_more_than_a_tenth_of_the_time() -> None:
    often = decided(dev_rows=10).config.eval_steps
    rarely = decided(dev_rows=2000).config.eval_steps

    assert often == 100 < rarely <= 1875 // 5


def test_processors_are_read_from_what_linux_says(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor : 0\nmodel name : A Processor\nflags : fpu avx512_bf16 amx_tile\n")

    assert processor_has_bfloat16(cpuinfo)
    assert processor_name(cpuinfo) == "A Processor"
    cpuinfo.write_text("processor : 0\nflags : fpu avx2 bf16x\n")
    assert not processor_has_bfloat16(cpuinfo)
    assert not processor_has_bfloat16(tmp_path / "missing")

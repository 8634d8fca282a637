"""The five tuning methods: what is attached to the base model, and which weights learn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunesmith.schemas.enums import TuningMethod
from tunesmith.schemas.plans import PlanConfig
from tunesmith.training import soft_prompts
from tunesmith.training.end_token import untrained
from tunesmith.training.lora_initialisation import keep_initial_weights
from tunesmith.training.model import load_tokenizer

_BASE_IS_CHANGED = ("pissa", "olora")


def attach(model: Any, config: PlanConfig, end_ids: Sequence[int] = ()) -> Any:
    """The model as it is trained: all of it, or with a fresh PEFT adapter whose random weights follow the seed.

    LoRA also trains the rows of those tokens of `end_ids` that the base has never learned (see `end_token`).
    """
    from peft import get_peft_model, prepare_model_for_kbit_training
    from transformers import set_seed

    method = config.tuning_method
    if method is TuningMethod.FULL:
        model.requires_grad_(True)
        return model
    if config.quantization is not None:
        model = prepare_model_for_kbit_training(
            model, use_gradient_checkpointing=config.activation_checkpointing
        )
    set_seed(config.seed)
    with_adapter = get_peft_model(model, peft_config(config, model, untrained(model, end_ids)))
    if method.is_prompt_learning:
        _begin_as_real_tokens(with_adapter, config)
    elif config.init_lora_weights in _BASE_IS_CHANGED:
        keep_initial_weights(with_adapter)
    return with_adapter


def peft_config(config: PlanConfig, model: Any, new_tokens: Sequence[int] = ()) -> Any:
    """The PEFT configuration that the plan's numbers mean for this base model. LoRA learns `new_tokens` as well."""
    from peft import LoraConfig, PrefixTuningConfig, PromptTuningConfig, TaskType

    if config.tuning_method is TuningMethod.PROMPT_TUNING:
        embedding = model.get_input_embeddings()
        return PromptTuningConfig(
            task_type=TaskType.CAUSAL_LM,
            num_virtual_tokens=config.num_virtual_tokens,
            token_dim=int(embedding.weight.shape[1]),
            # PEFT wants to know these, has no use for them here, and does not find them in every config.json.
            num_layers=1,
            num_attention_heads=1,
        )
    if config.tuning_method is TuningMethod.PREFIX_TUNING:
        return PrefixTuningConfig(
            task_type=TaskType.CAUSAL_LM,
            num_virtual_tokens=config.num_virtual_tokens,
            **_prefix_sizes(model),
        )
    return LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=config.r,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=list(config.target_modules or []),
        use_rslora=config.use_rslora,
        use_dora=config.use_dora,
        init_lora_weights=True if config.init_lora_weights == "default" else config.init_lora_weights,
        trainable_token_indices=_rows_of(model, new_tokens) if new_tokens else None,
    )


def _rows_of(model: Any, tokens: Sequence[int]) -> list[int] | dict[str, list[int]]:
    """Which rows of which layers stand for the tokens: PEFT finds the embedding, and a head that is tied to it."""
    names = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if module is model.get_input_embeddings() or module is model.get_output_embeddings()
    }
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    return [*tokens] if tied else {name: [*tokens] for name in sorted(names)}


def keep_adapter_in_float32(model: Any) -> None:
    """Undo TRL's cast of a quantized model's adapter to bfloat16: its 8 bits of mantissa swallow small updates."""
    import torch

    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)


def _prefix_sizes(model: Any) -> dict[str, int]:
    import torch

    shape = soft_prompts.prefix_shape(model, torch.zeros((1, 1), dtype=torch.long, device=model.device))
    if shape is None:
        return {}
    layers, heads, width = shape
    return {"num_layers": layers, "num_attention_heads": heads, "token_dim": heads * width}


def _begin_as_real_tokens(model: Any, config: PlanConfig) -> None:
    base = model.get_base_model()
    ids = soft_prompts.initial_tokens(
        load_tokenizer(Path(base.name_or_path)),
        int(base.get_input_embeddings().weight.shape[0]),
        config.prompt_tuning_init_text,
        int(config.num_virtual_tokens or 0),
    )
    if config.tuning_method is TuningMethod.PROMPT_TUNING:
        soft_prompts.begin_prompt_as(model, ids)
    else:
        soft_prompts.begin_prefix_as(model, ids)

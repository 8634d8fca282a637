"""The five tuning methods: what is attached to the base model, and which weights learn."""

from __future__ import annotations

from typing import Any

from tunesmith.schemas.enums import TuningMethod
from tunesmith.schemas.plans import PlanConfig


def attach(model: Any, config: PlanConfig) -> Any:
    """The model as it is trained: all of it, or with a fresh PEFT adapter whose random weights follow the seed."""
    from peft import get_peft_model, prepare_model_for_kbit_training
    from transformers import set_seed

    if config.tuning_method is TuningMethod.FULL:
        model.requires_grad_(True)
        return model
    if config.quantization is not None:
        model = prepare_model_for_kbit_training(
            model, use_gradient_checkpointing=config.activation_checkpointing
        )
    set_seed(config.seed)
    return get_peft_model(model, peft_config(config))


def peft_config(config: PlanConfig) -> Any:
    """The PEFT configuration that the plan's numbers mean."""
    from peft import LoraConfig, PrefixTuningConfig, PromptTuningConfig, PromptTuningInit, TaskType

    if config.tuning_method is TuningMethod.PROMPT_TUNING:
        return PromptTuningConfig(
            task_type=TaskType.CAUSAL_LM,
            num_virtual_tokens=config.num_virtual_tokens,
            # Starting from real embeddings learns better than from noise (arXiv:2104.08691, section 3.2).
            prompt_tuning_init=PromptTuningInit.SAMPLE_VOCAB,
        )
    if config.tuning_method is TuningMethod.PREFIX_TUNING:
        return PrefixTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=config.num_virtual_tokens)
    return LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=config.r,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=list(config.target_modules or []),
    )


def keep_adapter_in_float32(model: Any) -> None:
    """Undo TRL's cast of a quantized model's adapter to bfloat16: its 8 bits of mantissa swallow small updates."""
    import torch

    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)

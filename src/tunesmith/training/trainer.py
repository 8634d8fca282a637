"""Training one model on rendered rows with TRL's SFTTrainer."""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerState
from transformers.trainer import TRAINER_STATE_NAME
from trl import SFTConfig, SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from tunesmith.evaluation.scoring import virtual_tokens, without_adapter
from tunesmith.schemas.enums import TuningMethod
from tunesmith.schemas.plans import PlanConfig
from tunesmith.training.methods import keep_adapter_in_float32
from tunesmith.training.rendering import NO_LOSS, Rendered
from tunesmith.training.reporting import Reporter


@dataclass(frozen=True)
class Trained:
    """`tokens` were seen, padding left out, earlier attempts included."""

    steps: int
    tokens: int


class _Trainer(SFTTrainer):
    def create_model_card(self, *_: Any, **__: Any) -> None:
        """A checkpoint needs no model card; publishing writes the one card there is."""

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The mean loss per token. On a processor TRL would score prompts and padding too, with their entropy."""
        if self.args.device.type != "cpu" or self.aux_loss_enabled or return_outputs:
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        loss = answer_loss(model, inputs)
        count = num_items_in_batch if num_items_in_batch is not None else (inputs["labels"] != NO_LOSS).sum()
        return loss / torch.as_tensor(count).clamp(min=1)


def answer_loss(model: Any, inputs: dict[str, Any]) -> torch.Tensor:
    """The summed cross-entropy of the tokens that carry loss; only their positions go through the output head.

    `inputs` holds input_ids, attention_mask and labels of shape [rows, tokens].
    """
    labels = inputs["labels"]
    kept = (labels[:, 1:] != NO_LOSS).any(dim=0).nonzero().squeeze(1)
    positions = kept + virtual_tokens(model)
    given = {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"], "use_cache": False}
    if "logits_to_keep" in inspect.signature(without_adapter(model).forward).parameters:
        logits = model(**given, logits_to_keep=positions).logits
    else:
        logits = model(**given).logits[:, positions]
    return torch.nn.functional.cross_entropy(
        logits.float().flatten(0, 1), labels[:, kept + 1].flatten(), ignore_index=NO_LOSS, reduction="sum"
    )


def train(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Rendered],
    config: PlanConfig,
    reporter: Reporter,
    scratch: Path,
    resume_from: Path | None,
) -> Trained:
    """Train `model` in place for `config.total_steps` optimizer steps, or until the reporter stops it.

    Checkpoints are made in `scratch`, on the store's disk; the reporter commits them. With `resume_from` the data
    order, optimizer, schedule and random state go on as if nothing had happened.
    """
    trainer = _Trainer(
        model=model,
        args=_arguments(config, scratch),
        train_dataset=Dataset.from_dict(
            {"input_ids": [row.input_ids for row in rows], "labels": [row.labels for row in rows]}
        ),
        data_collator=DataCollatorForLanguageModeling(pad_token_id=tokenizer.pad_token_id),
        processing_class=tokenizer,
        callbacks=[reporter],
    )
    trainer.remove_callback(PrinterCallback)
    _check_world_size(trainer.args.world_size)
    if config.quantization is not None:
        keep_adapter_in_float32(model)
    if resume_from is not None and _steps_done(resume_from) >= config.total_steps:
        # Asked to go on after its last step, the Trainer makes one more.
        trainer._load_from_checkpoint(str(resume_from))
        trainer.state = TrainerState.load_from_json(str(resume_from / TRAINER_STATE_NAME))
    else:
        trainer.train(resume_from_checkpoint=None if resume_from is None else str(resume_from))
    return Trained(int(trainer.state.global_step), int(trainer.state.num_input_tokens_seen))


def _arguments(config: PlanConfig, scratch: Path) -> Any:
    accelerated = torch.cuda.is_available()
    return SFTConfig(
        output_dir=str(scratch),
        per_device_train_batch_size=config.micro_batch_size,
        gradient_accumulation_steps=config.gradient_accumulation_steps,
        max_steps=config.total_steps,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.lr_scheduler_type,
        warmup_steps=config.warmup_steps,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        optim=config.optim,
        seed=config.seed,
        data_seed=config.seed,
        use_cpu=not accelerated,
        bf16=accelerated and config.precision == "bfloat16",
        fp16=accelerated and config.precision == "float16",
        # Prefix tuning hands the model a cache, which recomputed activations would read twice: it crashes.
        activation_checkpointing=config.activation_checkpointing
        and config.tuning_method is not TuningMethod.PREFIX_TUNING,
        # Rows come rendered. Packing would mix rows under prompt tuning and change what a step sees elsewhere.
        max_length=None,
        packing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        logging_steps=1,
        # By default a NaN is logged as the loss before it, and nobody would notice.
        logging_nan_inf_filter=False,
        # Without padding: what is told as tokens/s is what was learned from.
        include_num_input_tokens_seen="non_padding",
        # The reporter asks for checkpoints and commits them; the Trainer's own are not crash-safe.
        save_strategy="no",
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=accelerated,
    )


def _steps_done(checkpoint: Path) -> int:
    return int(TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME)).global_step)


def _check_world_size(world_size: int) -> None:
    """`accelerate launch` has been seen to start one process where several were asked for."""
    wanted = int(os.environ.get("WORLD_SIZE", "1"))
    if world_size != wanted:
        raise RuntimeError(f"{wanted} processes were launched, but {world_size} train together")

"""Training one model on rendered rows: TRL's SFTTrainer, of which a step is one batch, laid out and scored by us.

What is overridden, and why: docs/adr/0008.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft.helpers import disable_input_dtype_casting
from transformers import PrinterCallback, TrainerState
from transformers.trainer import SCHEDULER_NAME, TRAINER_STATE_NAME
from trl import SFTConfig, SFTTrainer

from tunesmith.jobs import clock
from tunesmith.jobs.files import read_document, write_document
from tunesmith.schemas.base import Document
from tunesmith.schemas.enums import TuningMethod
from tunesmith.schemas.plans import Optimizer, PlanConfig
from tunesmith.training.answer_loss import AnswerLoss
from tunesmith.training.cheap_dropout import cheapen_dropout
from tunesmith.training.failures import free_memory
from tunesmith.training.fused_gelu import fuse_gelu
from tunesmith.training.hardware import training_device
from tunesmith.training.methods import keep_adapter_in_float32
from tunesmith.training.packing import pass_tokens
from tunesmith.training.rendering import Rendered
from tunesmith.training.reporting import Reporter
from tunesmith.training.row_attention import attends_as_loaded, attends_by_row, rows_of
from tunesmith.training.step_batches import Batcher, Pass, StepBatch
from tunesmith.training.threads import Threads

_MADE_WITH = "made_with.json"


@dataclass(frozen=True)
class Trained:
    """`tokens` were seen, padding left out, earlier attempts included."""

    steps: int
    tokens: int


class MadeWith(Document):
    """What a checkpoint's numbers depend on beside the plan: sums are rounded by as many threads as make them."""

    optim: Optimizer
    threads: int


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

    Which rows a step consists of follows from the seed and `batch_size` alone. Checkpoints are made in `scratch`, on
    the store's disk; the reporter commits them. With `resume_from` the data order, optimizer, schedule and random state
    go on as if nothing had happened; `micro_batch_size`, `activation_checkpointing` and `optim` may differ from the
    ones that the checkpoint was made with, and another optimizer begins with empty moments. With early stopping the
    model ends with the best weights that were evaluated.
    """
    made_with = None if resume_from is None else read_document(resume_from / _MADE_WITH, MadeWith)
    trainer = _Trainer(model, tokenizer, rows, config, reporter, scratch)
    if made_with is None:
        trainer.threads.choose()
    else:
        trainer.threads.keep(made_with.threads)
    _check_world_size(trainer.args.world_size)
    reporter.watch(model, scratch, resume_from)
    free_memory()  # what loading the model took
    try:
        _go(trainer, config, reporter, resume_from)
    finally:
        attends_as_loaded(model)
        trainer.threads.release()
    if not reporter.stopped:
        reporter.restore_best()
    return Trained(int(trainer.state.global_step), int(trainer.state.num_input_tokens_seen))


def _go(trainer: _Trainer, config: PlanConfig, reporter: Reporter, resume_from: Path | None) -> None:
    if resume_from is not None and (reporter.ended_early or _steps_done(resume_from) >= config.total_steps):
        # Asked to go on after its last step, the Trainer makes one more.
        trainer._load_from_checkpoint(str(resume_from))
        trainer.state = TrainerState.load_from_json(str(resume_from / TRAINER_STATE_NAME))
    else:
        trainer.train(resume_from_checkpoint=None if resume_from is None else str(resume_from))


class _Trainer(SFTTrainer):
    """Its batch is a whole optimizer step, so that it is told of no micro-batches: `training_step` makes them."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        rows: Sequence[Rendered],
        config: PlanConfig,
        reporter: Reporter,
        scratch: Path,
    ) -> None:
        hidden_size = int(model.get_input_embeddings().weight.shape[-1])
        packing = config.packing and not config.tuning_method.is_prompt_learning
        most_tokens = pass_tokens(
            config.micro_batch_size, config.max_length, hidden_size, on_processor=training_device() == "cpu"
        )
        batcher = Batcher(
            packing=packing,
            by_row=packing and attends_by_row(model, config.max_length),
            micro_batch_size=config.micro_batch_size,
            max_length=config.max_length,
            most_tokens=most_tokens,
            hidden_size=hidden_size,
            pad_token_id=tokenizer.pad_token_id,
        )
        self.threads = Threads(hidden_size, most_tokens)
        self._reporter = reporter
        cheapen_dropout(model)
        fuse_gelu(model)
        super().__init__(
            model=model,
            args=_arguments(config, scratch),
            # The rows stay as they are; the Trainer shuffles their places.
            train_dataset=Dataset.from_dict({"place": range(len(rows))}),
            data_collator=lambda chosen: batcher([rows[each["place"]] for each in chosen]),
            processing_class=tokenizer,
            callbacks=[reporter],
        )
        self.remove_callback(PrinterCallback)
        self._answer_loss = AnswerLoss(model)
        self._casts = not _computes_mixed(config)
        if config.quantization is not None:
            keep_adapter_in_float32(model)

    def training_step(self, model: Any, inputs: StepBatch, num_items_in_batch: Any = None) -> torch.Tensor:
        """The mean loss over the step's loss tokens, however many passes they take."""
        model.train()
        began = clock.boot_s()
        total = torch.zeros((), device=self.args.device)
        for batch in inputs.passes:
            with rows_of(batch.row_lengths):
                total += self._pass(model, batch, inputs)
        self.threads.step_took(clock.boot_s() - began, inputs.tokens)
        return total

    def _pass(self, model: Any, batch: Pass, step: StepBatch) -> torch.Tensor:
        # PEFT would hand a bfloat16 layer's input to its adapter as float32, a copy that autocast undoes.
        uncast = nullcontext() if self._casts else disable_input_dtype_casting(model, True)
        with self.accelerator.autocast(), uncast:
            loss = self._answer_loss(batch.to(self.args.device)) / max(1, step.loss_tokens)
            if self.aux_loss_enabled and self._answer_loss.auxiliary is not None:
                loss = loss + self.router_aux_loss_coef * self._answer_loss.auxiliary / len(step.passes)
        self.accelerator.backward(loss)
        return loss.detach()

    def get_batch_samples(self, *arguments: Any, **keywords: Any) -> Any:
        """The rows of the next step; the reporter hears how long they took to come."""
        began = clock.boot_s()
        batches = super().get_batch_samples(*arguments, **keywords)
        self._reporter.waited_for_data(clock.boot_s() - began)
        return batches

    def _get_num_items_in_batch(self, batch_samples: list[StepBatch], device: Any) -> None:
        """A step counts its own."""

    def _track_num_input_tokens(self, inputs: StepBatch) -> None:
        self.state.num_input_tokens_seen += inputs.tokens

    def floating_point_ops(self, inputs: StepBatch) -> int:
        """Nobody reads them, and counting a model's weights takes longer than a step of a small one."""
        return 0

    def create_model_card(self, *_: Any, **__: Any) -> None:
        """A checkpoint needs no model card; publishing writes the one card there is."""

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        write_document(folder / _MADE_WITH, MadeWith(optim=self.args.optim, threads=torch.get_num_threads()))

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        made_with = None if checkpoint is None else read_document(Path(checkpoint) / _MADE_WITH, MadeWith)
        if made_with is None or made_with.optim == self.args.optim:
            super()._load_optimizer_and_scheduler(checkpoint)
        else:
            schedule = torch.load(Path(str(checkpoint)) / SCHEDULER_NAME, weights_only=True)
            self.lr_scheduler.load_state_dict(schedule)


def _arguments(config: PlanConfig, scratch: Path) -> Any:
    accelerated = training_device() == "cuda"
    return SFTConfig(
        output_dir=str(scratch),
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=1,
        max_steps=config.total_steps,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.lr_scheduler_type,
        warmup_steps=config.warmup_steps,
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        optim=config.optim,
        seed=config.seed,
        data_seed=config.seed,
        use_cpu=training_device() == "cpu",
        bf16=(accelerated and config.precision == "bfloat16") or _computes_mixed(config),
        fp16=accelerated and config.precision == "float16",
        # Prefix tuning hands the model a cache, which recomputed activations would read twice: it crashes.
        activation_checkpointing=config.activation_checkpointing
        and config.tuning_method is not TuningMethod.PREFIX_TUNING,
        # Rows come rendered, and are laid out by the collator.
        max_length=None,
        packing=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False,
        logging_steps=1,
        # By default a NaN is logged as the loss before it, and nobody would notice.
        logging_nan_inf_filter=False,
        # The reporter asks for checkpoints and commits them; the Trainer's own are not crash-safe.
        save_strategy="no",
        eval_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )


def _computes_mixed(config: PlanConfig) -> bool:
    """Whether a base in bfloat16 has an adapter in float32: the adapter's products are then made in bfloat16 too."""
    return (
        config.precision == "bfloat16"
        and config.tuning_method is TuningMethod.LORA
        and not config.quantization
    )


def _steps_done(checkpoint: Path) -> int:
    return int(TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME)).global_step)


def _check_world_size(world_size: int) -> None:
    """Several processes would each train `batch_size` rows a step, and `accelerate launch` has been seen to start one
    of them only."""
    wanted = int(os.environ.get("WORLD_SIZE", "1"))
    if wanted != 1 or world_size != 1:
        raise RuntimeError(
            f"{wanted} processes were launched and {world_size} train together; a run is one process"
        )

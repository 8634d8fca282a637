"""The training job: one plan in, one adapter out."""

from __future__ import annotations

import shutil
from typing import Any

from tunesmith.jobs.context import JobContext, Stopped
from tunesmith.jobs.curves import Curves
from tunesmith.jobs.files import read_document, write_bytes
from tunesmith.jobs.journal import read_events
from tunesmith.jobs.ledger_sidecar import FollowedLedger
from tunesmith.jobs.paths import HandlePaths
from tunesmith.schemas.enums import TrainingMode, TuningMethod
from tunesmith.schemas.errors import NotReady
from tunesmith.schemas.plans import Plan, PlanConfig
from tunesmith.schemas.runs import TrainOutcome, TrainRequest
from tunesmith.training import checkpoints
from tunesmith.training.adapter import save_adapter
from tunesmith.training.dev_loss import DevLoss, dev_loss
from tunesmith.training.end_token import untrained
from tunesmith.training.failures import (
    SMALLER,
    TrainingOutOfMemory,
    free_memory,
    is_limited,
    running_out,
    spare_memory,
    training_failures,
)
from tunesmith.training.hardware import memory_room, use_one_accelerator
from tunesmith.training.inputs import Inputs, load_base, read_inputs
from tunesmith.training.ladder import at_the_foot, largest_pass, standing, step_down, tell_step_down
from tunesmith.training.methods import attach
from tunesmith.training.panels import draw_panels
from tunesmith.training.prompt_use import prompt_use_of
from tunesmith.training.rendering import NO_LOSS
from tunesmith.training.reporting import Calendar, Reporter
from tunesmith.training.tracking import Trackers, open_trackers


def run(job: JobContext) -> TrainOutcome:
    """Train the run's plan, or with mode "smoke" try it out.

    Raises:
        Stopped: somebody asked to; a checkpoint of the last finished step is committed.
        TrainingDiverged, OutOfMemory, DiskFull, EmptyMask, Mismatch, ModelNotFound, ...: see schemas.errors.
    """
    request = job.request(TrainRequest)
    plan = read_document(job.paths.plan, Plan)
    if plan is None:
        raise NotReady(
            f"The plan of {job.handle} cannot be read.", "Call configure_lora, then start_training."
        )
    use_one_accelerator()
    if plan.fit != "fits" or is_limited():
        spare_memory()
    with training_failures(job.paths.folder, SMALLER):
        shutil.rmtree(job.paths.scratch, ignore_errors=True)
        job.scratch.mkdir(parents=True)
        if request.mode is TrainingMode.SMOKE:
            from tunesmith.training.smoke import try_out

            return try_out(job, plan)
        return _train(job, plan)


def _train(job: JobContext, plan: Plan) -> TrainOutcome:
    job.phase("reading the data")
    inputs = read_inputs(job.store, plan)
    _tell_rows(job, inputs)
    _tell_inputs(job, inputs)
    with open_trackers(job, plan) as trackers:
        return _fit_with_less(job, plan, inputs, trackers)


def _fit_with_less(job: JobContext, plan: Plan, inputs: Inputs, trackers: Trackers) -> TrainOutcome:
    """Train as planned; whenever memory runs out, go on from the last committed step with less at a time."""
    config = standing(plan.config, read_events(job.paths.journal))
    while True:
        _stop_if_asked(job)
        try:
            with training_failures(job.paths.folder, SMALLER):
                return _fit(job, plan, config, inputs, trackers)
        except TrainingOutOfMemory:
            lower = step_down(config, largest_pass(config, inputs.base.folder))
            if lower is None:
                raise at_the_foot(config) from None
        # The failed training's tensors went with its exception.
        free_memory()
        spare_memory()
        config = lower.config
        tell_step_down(job, lower)


def _fit(job: JobContext, plan: Plan, config: PlanConfig, inputs: Inputs, trackers: Trackers) -> TrainOutcome:
    """Train with `config`, from the last committed step on.

    Raises:
        TrainingOutOfMemory: there was not enough memory for a training step; for less there is no cure.
    """
    from tunesmith.training.trainer import train

    job.phase("loading the base model")
    model = load_base(inputs, plan)
    base_eval_loss = _base_eval_loss(job, model, inputs, trackers)
    _tell_ends(job, model, config, inputs)
    prompt_use = prompt_use_of(inputs.dev, config.max_length)
    prompt_use.score_base(model)
    model = attach(model, config, inputs.end_ids)

    def evaluate(model: Any) -> DevLoss | None:
        return dev_loss(model, inputs.dev, lambda _: None) if inputs.dev else None

    calendar = Calendar(config.total_steps, config.eval_steps, config.save_steps)
    reporter = Reporter(
        job, calendar, evaluate, config.learning_rate, config.early_stopping_patience, prompt_use, trackers
    )
    resume_from = checkpoints.begin(job.paths, job.attempt, job.scratch, _continued(job))
    job.phase("training" if resume_from is None else f"training, from step {resume_from.step} on")
    with running_out(TrainingOutOfMemory):
        trained = train(
            model,
            inputs.tokenizer,
            inputs.train.rows,
            config,
            reporter,
            job.scratch,
            None if resume_from is None else resume_from.folder,
        )
    if reporter.stopped:
        raise Stopped
    job.phase("saving the adapter")
    job.check_current()
    save_adapter(model, inputs.tokenizer, plan, job.paths, job.scratch)
    curves = Curves.of(FollowedLedger(job.paths).refresh())
    if curves.losses:
        write_bytes(job.paths.loss_curve, draw_panels(curves, f"{job.handle} · {config.in_words}"))
    last_eval_loss = curves.held_out[-1][1] if curves.held_out else curves.base_loss
    return TrainOutcome(
        adapter=job.paths.adapter.name,
        steps=trained.steps,
        train_loss=reporter.train_loss,
        base_eval_loss=base_eval_loss,
        eval_loss=reporter.best_loss if reporter.best_loss is not None else last_eval_loss,
        trained_tokens=trained.tokens,
        smoke=None,
    )


def _continued(job: JobContext) -> HandlePaths | None:
    """The files of the run that this one goes on with."""
    continues = job.request(TrainRequest).continues
    return None if continues is None else job.store.handle(continues)


def _base_eval_loss(job: JobContext, model: Any, inputs: Inputs, trackers: Trackers) -> float | None:
    """The base's own loss on the dev half, before anything is attached; from the journal on a later attempt."""
    if not inputs.dev:
        return None
    for event in read_events(job.paths.journal):
        if event["event"] == "evaluated" and event.get("step") == 0:
            return float(event["eval_loss"])
    job.phase("scoring the base model on the dev half")
    figures = dev_loss(model, inputs.dev, lambda _: _stop_if_asked(job))
    job.journal.append("evaluated", step=0, eval_loss=figures.loss, accuracy=figures.accuracy)
    trackers.evaluated(0, figures.loss, figures.accuracy)
    return figures.loss


def _tell_rows(job: JobContext, inputs: Inputs) -> None:
    for reason, count in inputs.train.dropped.items():
        job.journal.append(
            "finding",
            code=reason,
            severity="warn",
            message=f"{count} training rows are left out ({reason}): no token of them would carry loss.",
            recovery="Call configure_lora with a larger max_length where the model's context allows it.",
        )
    if inputs.train.truncated:
        job.journal.append(
            "finding",
            code="truncated",
            severity="info",
            message=f"{inputs.train.truncated} training rows are cut at max_length and lose their end token.",
            recovery="Call configure_lora with a larger max_length where the model's context allows it.",
        )


def _tell_ends(job: JobContext, model: Any, config: PlanConfig, inputs: Inputs) -> None:
    """Say where the answers end in a token that the base has never learned, and what is done about that."""
    method = config.tuning_method
    new = [] if method is TuningMethod.FULL else untrained(model, inputs.end_ids)
    told = {event.get("code") for event in read_events(job.paths.journal) if event["event"] == "finding"}
    if not new or told & {"end_not_learnable", "end_token_learned"}:  # an earlier attempt has said it
        return
    tokens = ", ".join(inputs.tokenizer.convert_ids_to_tokens(new))
    what = f"The base has never learned {tokens}, which ends the answers here"
    if method.is_prompt_learning:
        job.journal.append(
            "finding",
            code="end_not_learnable",
            severity="warn",
            message=f"{what}, and a learned prompt cannot teach it: answers will go on up to their longest length.",
            recovery="Call configure_lora with tuning_method='lora', which learns that token too, or with a base model "
            "that was tuned to follow instructions.",
        )
    else:
        job.journal.append(
            "finding",
            code="end_token_learned",
            severity="info",
            message=f"{what}: its row of the vocabulary is trained along, or the answers would never end.",
            recovery="Nothing has to be done. The adapter holds that row too (trainable_token_indices).",
        )


def _tell_inputs(job: JobContext, inputs: Inputs) -> None:
    """What diagnosis wants to know of the rows, and the memory that the training may take."""
    rows, ends = inputs.train.rows, set(inputs.tokenizer.all_special_ids)
    job.journal.append(
        "inputs",
        rows=len(rows),
        tokens=sum(len(row.input_ids) for row in rows),
        loss_tokens=sum(len(row.labels) - row.labels.count(NO_LOSS) for row in rows),
        ended_rows=sum(row.labels[-1] in ends for row in rows),
        cut_rows=inputs.train.truncated,
        vocabulary=len(inputs.tokenizer),
        memory_bytes=memory_room(),
    )


def _stop_if_asked(job: JobContext) -> None:
    if job.stop_requested():
        raise Stopped

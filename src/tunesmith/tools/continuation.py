"""Whether a run can go on under another plan: one that asks for more steps of the same training."""

from __future__ import annotations

from tunesmith.jobs.files import read_document
from tunesmith.jobs.snapshot import Snapshot
from tunesmith.schemas.enums import RunState
from tunesmith.schemas.errors import Mismatch, NotReady
from tunesmith.schemas.plans import Plan
from tunesmith.schemas.runs import TrainOutcome

_MAY_DIFFER = {
    "dataset_size", "compute_budget", "learning_rate_probe", "epochs", "total_steps", "warmup_steps", "eval_steps",
    "save_steps", "logging_steps", "micro_batch_size", "gradient_accumulation_steps", "activation_checkpointing",
    "attn_implementation", "packing", "early_stopping_patience",
}  # fmt: skip
"""How long, how often, and how the same steps are computed. Everything else is in the checkpoint's numbers."""
_INPUTS = ("dataset_fingerprint", "base_fingerprint")


def check_continues(plan: Plan, snapshot: Snapshot) -> None:
    """Do nothing where a run of `plan` can begin with the last checkpoint of the run that `snapshot` shows.

    Raises:
        Mismatch: the plans differ in more than how long they train.
        NotReady: it is still going on, there is nothing to go on from, or it had stopped learning.
    """
    run_id = snapshot.handle
    earlier = read_document(snapshot.paths.plan, Plan)
    if earlier is None:
        raise NotReady(f"The plan of {run_id} cannot be read.", "Call start_training without resume_run_id.")
    if snapshot.state.is_active:
        raise NotReady(
            f"{run_id} is still {snapshot.state.value}.",
            f'Call get_status with run_id="{run_id}" and wait_s=30; when it has ended, make this call again.',
        )
    _check_same(plan, earlier, run_id)
    steps = earlier.config.total_steps
    if plan.config.total_steps <= steps and snapshot.state is not RunState.SUCCEEDED:
        raise Mismatch(
            f"{run_id} is a run of {earlier.plan_id}, and {plan.plan_id} asks for no more steps than that.",
            f'Call start_training with plan_id="{earlier.plan_id}" and resume_run_id="{run_id}".',
        )
    if plan.config.total_steps <= steps:
        raise Mismatch(
            f"{plan.plan_id} has {plan.config.total_steps} steps; {run_id} was to make {steps} already.",
            f"Call configure_lora as for {earlier.plan_id} with epochs above {earlier.config.epochs:g}; start that.",
        )
    outcome = read_document(snapshot.paths.result, TrainOutcome)
    ended_early = snapshot.state is RunState.SUCCEEDED and outcome is not None
    if ended_early and outcome is not None and outcome.steps < steps:
        raise NotReady(
            f"{run_id} ended at step {outcome.steps} of {steps}, because its held-out loss fell no "
            "longer; more epochs would not help it.",
            "Plan anew with other or more rows, or a smaller learning_rate, and start that without resume_run_id.",
        )
    if not snapshot.paths.checkpoints.is_dir() or not any(snapshot.paths.checkpoints.glob("*/manifest.json")):
        raise NotReady(
            f"{run_id} has no checkpoint to go on from (they may have been pruned).",
            f'Call start_training with plan_id="{plan.plan_id}" alone: it trains all steps from the beginning.',
        )


def _check_same(plan: Plan, earlier: Plan, run_id: str) -> None:
    new, old = plan.config.model_dump(mode="json"), earlier.config.model_dump(mode="json")
    differing = [
        f"{name} ({new[name]} instead of {old[name]})"
        for name in new
        if name not in _MAY_DIFFER and new[name] != old[name]
    ]
    differing += [name for name in _INPUTS if getattr(plan, name) != getattr(earlier, name)]
    if differing:
        raise Mismatch(
            f"{plan.plan_id} cannot go on with {run_id}: they differ in {', '.join(differing)}.",
            f"Call configure_lora as for {earlier.plan_id}, with more epochs and nothing else changed; or leave out "
            "resume_run_id to train from the beginning.",
        )

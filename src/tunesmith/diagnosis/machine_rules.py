"""What the machine says: memory at its edge or gone, a process that is silent, steps that wait for data, a slow run.

Where the thresholds come from: docs/diagnosis.md.
"""

from __future__ import annotations

from typing import Any

from tunesmith.diagnosis.history import RunHistory
from tunesmith.diagnosis.proposals import begin_with, configure
from tunesmith.schemas.base import NextCall
from tunesmith.schemas.enums import RunState, TuningMethod
from tunesmith.schemas.overrides import SHORTEST_ROW
from tunesmith.schemas.runs import Finding

MEMORY_EDGE = 0.92
WAITING_SHARE = 0.3
WAITING_STEPS = 20
SILENT_TRAINING_S = 300.0
SILENT_S = 900.0
SILENT_STEPS = 50
SLOW_RATIO = 3.0
SLOW_S = 600.0
_TRAINING = "training"


def out_of_memory(history: RunHistory) -> Finding | None:
    """The run has ended because memory ran out."""
    if history.error_code != "out_of_memory":
        return None
    arguments = _less_memory(history)
    named = _in_words(arguments)
    return Finding(
        code="out_of_memory",
        severity="fail",
        message="The run ended because memory ran out, also with as few rows at a time as there can be.",
        cause="The plan's weights, activations and logits do not fit into what the machine had free.",
        evidence=_memory_evidence(history),
        recovery=f"Call configure_lora with {named}, or make room (other programs, other runs), and start again.",
        fix=configure(history, "takes less memory", **arguments),
    )


def memory_edge(history: RunHistory) -> Finding | None:
    """So little memory is left that the next longer batch, or another program, may end the run."""
    peak, room = history.figures.get("peak_memory_bytes"), history.inputs.get("memory_bytes")
    if not peak or not room or peak < MEMORY_EDGE * room or history.error_code == "out_of_memory":
        return None
    arguments = _less_memory(history)
    return Finding(
        code="memory_edge",
        severity="warn",
        message=f"The training has taken {peak / 1e9:.2f} GB of the {room / 1e9:.2f} GB it may have.",
        cause="The plan is as large as the machine.",
        evidence=_memory_evidence(history),
        recovery=f"It goes on by itself with less at a time if memory runs out. To have room, call configure_lora with "
        f"{_in_words(arguments)}.",
        fix=configure(history, "takes less memory", **arguments),
    )


def stalled(history: RunHistory) -> Finding | None:
    """A process that holds its lease and has said nothing for much longer than its steps take."""
    silent = history.silent_s
    if silent is None or history.state not in (RunState.RUNNING, RunState.STOPPING):
        return None
    step_s = _seconds_per_step(history)
    trains = (history.phase or "").startswith(_TRAINING)
    patience = max(SILENT_TRAINING_S, SILENT_STEPS * (step_s or 0.0)) if trains else SILENT_S
    if silent < patience:
        return None
    evidence = {"silent_s": silent} | ({} if step_s is None else {"seconds_per_step": step_s})
    usual = "" if step_s is None else f", and a step took {step_s:.2g} s"
    return Finding(
        code="stalled",
        severity="warn",
        confidence="medium",
        message=f"Nothing has been heard of the run for {silent:.0f} s ({history.phase or 'no phase told'}){usual}.",
        cause="The machine is asleep, swaps or is overloaded, a disk or a device does not answer, or the process "
        "hangs.",
        evidence=evidence,
        recovery=f"Have a person look at the machine. If it does not go on, call stop_training with "
        f'run_id="{history.run_id}" '
        "and then start_training with resume_run_id: it goes on from the last committed step.",
        fix=NextCall(
            tool="stop_training", arguments={"run_id": history.run_id}, why="then resume from the last commit"
        ),
    )


def slow_input(history: RunHistory) -> Finding | None:
    """A large share of the time goes by before a step has its rows."""
    share = history.figures.get("data_wait")
    if share is None or share < WAITING_SHARE or history.step < WAITING_STEPS:
        return None
    plan = history.plan
    halved = {} if plan is None else {"max_length": max(SHORTEST_ROW, plan.config.max_length // 2)}
    return Finding(
        code="slow_input",
        severity="warn",
        confidence="medium",
        message=f"{share:.0%} of the time goes by waiting for the next rows, not computing.",
        cause="Other programs take the processor that prepares the rows, the machine swaps, or the rows are very "
        "long for "
        "a model this small.",
        evidence={"data_wait": share},
        recovery=f"Let nothing else run on the machine. If that changes nothing: {begin_with(history)} with "
        f"{_in_words(halved) or 'a smaller max_length'}.",
        fix=configure(history, "shorter rows are prepared faster", **halved),
    )


def slow_training(history: RunHistory) -> Finding | None:
    """The run takes several times as long as was planned."""
    plan, step_s = history.plan, _seconds_per_step(history)
    if plan is None or step_s is None or not history.total_steps or not history.state.is_active:
        return None
    needed, planned = step_s * history.total_steps, plan.estimated_seconds
    if needed < SLOW_S or needed < SLOW_RATIO * planned:
        return None
    steps = max(1, int(history.total_steps * planned / needed))
    return Finding(
        code="slow_training",
        severity="info",
        confidence="medium",
        message=f"At {step_s:.2g} s a step the run takes {needed / 60:.0f} minutes; {planned / 60:.0f} were planned.",
        cause="Other work shares the machine, or it is slower than it was taken for.",
        evidence={"seconds_per_step": step_s, "needed_s": needed, "planned_s": planned},
        recovery=f"Let it go on if the time does not matter. To be done in the planned time: "
        f"{begin_with(history)} with "
        f"max_steps={steps}.",
        fix=configure(history, "ends in the time that was planned", max_steps=steps),
    )


def _seconds_per_step(history: RunHistory) -> float | None:
    eta, step, total = (history.figures.get(name) for name in ("eta_s", "step", "total_steps"))
    if eta is None or not isinstance(step, int) or not isinstance(total, int) or step >= total:
        return None
    return float(eta) / (total - step)


def _less_memory(history: RunHistory) -> dict[str, Any]:
    """The plan's own cheapest remedy; without one four-bit weights for LoRA, and half the length for all else."""
    plan = history.plan
    if plan is None:
        return {}
    if plan.remedies:
        return dict(plan.remedies[0].arguments)
    if (
        plan.config.tuning_method in (TuningMethod.FULL, TuningMethod.LORA)
        and plan.config.quantization is None
    ):
        return {"tuning_method": "lora" if plan.config.tuning_method is TuningMethod.FULL else "qlora"}
    return {"max_length": max(SHORTEST_ROW, plan.config.max_length // 2)}


def _in_words(arguments: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in arguments.items())


def _memory_evidence(history: RunHistory) -> dict[str, float]:
    found = {
        "peak_memory_bytes": history.figures.get("peak_memory_bytes"),
        "memory_bytes": history.inputs.get("memory_bytes"),
    }
    return {name: float(value) for name, value in found.items() if value is not None}

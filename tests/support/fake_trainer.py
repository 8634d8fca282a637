"""A training of milliseconds a step, on the real paths and without a machine-learning library.

Its weights are a hash that every step is folded into, so the adapter's bytes prove that no step was left out, made
twice or made with another's state. In the foreground: `python -m tests.support.fake_trainer STORE HANDLE ATTEMPT`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from functools import partial
from pathlib import Path

from tunesmith.jobs import clock
from tunesmith.jobs.context import JobContext, Stopped
from tunesmith.jobs.files import commit_folder
from tunesmith.jobs.process import JobFunction, run_attempt
from tunesmith.schemas.base import Document
from tunesmith.schemas.runs import TrainOutcome
from tunesmith.training import checkpoints

WEIGHTS = "weights.bin"
_STATE = "state.json"
_MEBIBYTE = 2**20


class FakeTraining(Document):
    """The request of a fake run."""

    total_steps: int
    save_steps: int
    step_s: float = 0.0
    weights_bytes: int = 64
    """Size of the file that a checkpoint and the adapter hold, beside the state."""
    hoarded_mib_a_step: int = 0
    """Memory that each step takes and keeps."""
    created_at: str = ""


def train(job: JobContext) -> TrainOutcome:
    """Make the steps that are left, committing a checkpoint every save_steps, then the adapter.

    Raises:
        Stopped: somebody asked to; a checkpoint of the last finished step is committed.
    """
    request = job.request(FakeTraining)
    shutil.rmtree(job.paths.scratch, ignore_errors=True)
    job.scratch.mkdir(parents=True)
    step, weights = _resume(job)
    job.phase(f"training, from step {step} on")
    began, first, hoard = clock.boot_s(), step, []
    while step < request.total_steps:
        time.sleep(request.step_s)
        hoard.append(b"x" * (request.hoarded_mib_a_step * _MEBIBYTE))
        step += 1
        weights = fold(weights, step)
        left_s = (clock.boot_s() - began) / (step - first) * (request.total_steps - step)
        job.progress(step, request.total_steps, loss=loss_of(weights), eta_s=left_s)
        stopping = job.stop_requested() and step < request.total_steps
        if stopping or step % request.save_steps == 0 or step == request.total_steps:
            _commit(job, request, step, weights)
        if stopping:
            raise Stopped
    _save_adapter(job, request, weights)
    return TrainOutcome(
        adapter=job.paths.adapter.name,
        steps=request.total_steps,
        train_loss=loss_of(weights),
        base_eval_loss=None,
        eval_loss=None,
        trained_tokens=request.total_steps,
        smoke=None,
    )


def fold(weights: bytes, step: int) -> bytes:
    """The weights after one more step."""
    return hashlib.sha256(weights + step.to_bytes(8, "big")).digest()


def loss_of(weights: bytes) -> float:
    """A number between 0 and 1 that only these weights have."""
    return int.from_bytes(weights[:6], "big") / 2**48


def weights_after(steps: int) -> bytes:
    """The weights of a run that nothing has disturbed."""
    weights = b""
    for step in range(1, steps + 1):
        weights = fold(weights, step)
    return weights


def adapter_of(request: FakeTraining) -> bytes:
    """The adapter's file as an uninterrupted run leaves it."""
    return _spread(weights_after(request.total_steps), request)


def _resume(job: JobContext) -> tuple[int, bytes]:
    newest = checkpoints.begin(job.paths, job.attempt, job.scratch, continues=None)
    if newest is None:
        return 0, b""
    state = json.loads((newest.folder / _STATE).read_bytes())
    if state["step"] != newest.step:
        raise ValueError(f"{newest.folder.name} holds the state of step {state['step']}")
    return newest.step, bytes.fromhex(state["weights"])


def _commit(job: JobContext, request: FakeTraining, step: int, weights: bytes) -> None:
    made = job.scratch / f"checkpoint-{step}"
    _write(made, request, step, weights)
    job.check_current()
    checkpoints.commit(made, job.paths, step, job.attempt)
    job.journal.append("checkpoint", durable=True, step=step)


def _save_adapter(job: JobContext, request: FakeTraining, weights: bytes) -> None:
    made = job.scratch / "adapter"
    _write(made, request, request.total_steps, weights)
    job.check_current()
    try:
        commit_folder(made, job.paths.adapter)
    except FileExistsError:  # an earlier attempt got this far
        shutil.rmtree(made)


def _write(made: Path, request: FakeTraining, step: int, weights: bytes) -> None:
    made.mkdir()
    (made / WEIGHTS).write_bytes(_spread(weights, request))
    (made / _STATE).write_text(json.dumps({"step": step, "weights": weights.hex()}))


def _spread(weights: bytes, request: FakeTraining) -> bytes:
    copies, rest = divmod(request.weights_bytes, len(weights))
    return weights * copies + weights[:rest]


def _load() -> JobFunction:
    return train


def run_fake_training(store_root: str, handle: str, attempt: int) -> None:
    """The entry of a fake training's process."""
    sys.exit(run_attempt(store_root, handle, attempt, partial(_load)))


if __name__ == "__main__":
    run_fake_training(sys.argv[1], sys.argv[2], int(sys.argv[3]))

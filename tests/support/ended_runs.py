"""Runs as finished, failed and killed processes leave them, made without training anything."""

from __future__ import annotations

from typing import Any

from tests.training.tiny import WHEN, plan_config
from tunesmith.jobs import submission
from tunesmith.jobs.files import write_document
from tunesmith.jobs.journal import Journal
from tunesmith.jobs.paths import HandlePaths, Store
from tunesmith.schemas.enums import DataFormat, TrainingMode, Work
from tunesmith.schemas.handles import new_handle
from tunesmith.schemas.plans import Plan, RenderedExample
from tunesmith.schemas.runs import TrainRequest

BLOCK_BYTES = 4096
CHECKPOINT_BYTES = 10 * BLOCK_BYTES


def make_plan(memory: dict[str, int] | None = None, **chosen: Any) -> Plan:
    """A LoRA plan of the demo model that no planner made; `chosen` are numbers of its configuration."""
    return Plan(
        plan_id=new_handle(Work.CONFIGURE),
        dataset_id=new_handle(Work.LOAD_DATASET),
        golden_set_id=None,
        format=DataFormat.INSTRUCTION,
        train_rows=100,
        config=plan_config(**{"base_model": "demo", "base_model_kind": "demo", **chosen}),
        reasons={},
        memory=memory or {"gradients": 98304, "optimizer": 196608},
        estimated_seconds=1.0,
        warnings=[],
        example=RenderedExample(untrusted_text="", tokens=0, loss_tokens=0),
        dataset_fingerprint="",
        golden_dev_fingerprint=None,
        base_fingerprint="",
        versions={},
        created_at=WHEN,
    )


def make_run(
    store: Store, state: str, plan: Plan | None = None, steps: tuple[int, ...] = (10, 20)
) -> HandlePaths:
    """A run with committed checkpoints of CHECKPOINT_BYTES, that has ended so; a succeeded one with its adapter.

    `state` may also be "interrupted" and "queued". The host has taken note: nothing is in the queue for it but then.
    """
    handle, plan = new_handle(Work.TRAIN), plan or make_plan()
    request = TrainRequest(plan_id=plan.plan_id, mode=TrainingMode.FULL, request_key=None, created_at=WHEN)
    submission.create(store, handle, request, lambda paths: write_document(paths.plan, plan))
    paths = store.handle(handle)
    if state == "queued":
        return paths
    journal = Journal(paths.journal, attempt=1)
    journal.append("claimed", host_pid=1)
    journal.append("started", pid=1)
    for step in steps:
        folder = paths.checkpoints / f"step-{step:08d}"
        folder.mkdir(parents=True)
        (folder / "optimizer.pt").write_bytes(b"x" * CHECKPOINT_BYTES)
        journal.append("checkpoint", step=step)
    if state == "interrupted":
        journal.append("exited", returncode=-9)
    else:
        journal.append("finished", state=state, error=None)
    if state == "succeeded":
        paths.adapter.mkdir()
        (paths.adapter / "adapter_model.safetensors").write_bytes(b"a" * BLOCK_BYTES)
        paths.result.write_text("{}")
    paths.lease.touch()
    store.queued(handle).unlink()
    return paths


def contents(paths: HandlePaths) -> dict[str, bytes]:
    """Every file of a run by its path within it."""
    return {
        str(path.relative_to(paths.folder)): path.read_bytes()
        for path in sorted(paths.folder.rglob("*"))
        if path.is_file()
    }

"""Runs as files alone, as a training would have left them: for whoever reads runs and needs many, or broken ones."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tunesmith.jobs.paths import HandlePaths, Store
from tunesmith.schemas.base import SCHEMA_VERSION
from tunesmith.schemas.enums import TrainingMode
from tunesmith.schemas.plans import Plan
from tunesmith.schemas.runs import TrainRequest

PLAN = Plan.model_validate(
    {
        "schema_version": SCHEMA_VERSION,
        "plan_id": "plan-aaaaaaaaaaaaaaaa",
        "dataset_id": "ds-aaaaaaaaaaaaaaaa",
        "golden_set_id": "gold-aaaaaaaaaaaaaaaa",
        "format": "instruction",
        "train_rows": 800,
        "config": {
            "base_model": "Qwen/Qwen3-0.6B",
            "base_model_kind": "hub",
            "base_model_path": None,
            "base_model_revision": None,
            "tuning_method": "lora",
            "dataset_size": "small",
            "compute_budget": "medium",
            "learning_rate": 2e-4,
            "lr_scheduler_type": "cosine",
            "warmup_steps": 5,
            "weight_decay": 0.0,
            "max_grad_norm": 1.0,
            "batch_size": 8,
            "micro_batch_size": 2,
            "gradient_accumulation_steps": 4,
            "epochs": 3.0,
            "total_steps": 300,
            "max_length": 512,
            "r": 16,
            "alpha": 32,
            "dropout": 0.05,
            "target_modules": ["q_proj", "v_proj"],
            "num_virtual_tokens": None,
            "prompt_tuning_init_text": None,
            "quantization": None,
            "precision": "float32",
            "optim": "adamw_torch",
            "activation_checkpointing": False,
            "eval_steps": 50,
            "save_steps": 50,
            "logging_steps": 1,
            "loss_on": "completion",
            "chat_template": None,
            "seed": 0,
        },
        "reasons": {},
        "memory": {},
        "estimated_seconds": 60.0,
        "warnings": [],
        "example": {"tokens": 9, "loss_tokens": 3, "untrusted_text": "x"},
        "dataset_fingerprint": "a",
        "golden_dev_fingerprint": "b",
        "base_fingerprint": "c",
        "versions": {},
        "created_at": "2030-01-01T00:00:00Z",
    }
)


def plan_with(**config: Any) -> Plan:
    """The plan with other numbers."""
    return PLAN.model_copy(update={"config": PLAN.config.model_copy(update=config)})


def run_handle(number: int) -> str:
    """A handle of a run for each number."""
    digits = ""
    for _ in range(16):
        number, digit = divmod(number, 32)
        digits = "abcdefghijklmnopqrstuvwxyz234567"[digit] + digits
    return f"run-{digits}"


def write_run(
    store: Store,
    handle: str,
    events: Iterable[dict[str, Any]],
    *,
    plan: Plan = PLAN,
    created_at: str = "2030-01-01T00:00:00Z",
) -> HandlePaths:
    """The folder of a run with these events in its journal."""
    paths = store.handle(handle)
    paths.folder.mkdir(parents=True)
    request = TrainRequest(
        plan_id=plan.plan_id, mode=TrainingMode.FULL, request_key=None, created_at=created_at
    )
    paths.request.write_text(request.model_dump_json())
    paths.plan.write_text(plan.model_dump_json())
    with paths.journal.open("w") as journal:
        journal.writelines(f"\n{json.dumps(event, separators=(',', ':'))}\n" for event in events)
    return paths


def began() -> list[dict[str, Any]]:
    """The events of a start."""
    return [
        {"event": "claimed", "attempt": 1, "t": 1.0, "boot": 1.0, "host_pid": 5},
        {"event": "started", "attempt": 1, "t": 1.1, "boot": 1.1, "pid": 6},
    ]


def progressed(step: int, total_steps: int = 300, **figures: Any) -> dict[str, Any]:
    """One step's event, as long as a training's."""
    told = {
        "loss": 1.0 + 2.0 / step,
        "learning_rate": 0.0002,
        "epoch": step / total_steps,
        "tokens_per_s": 4120.51234,
        "eta_s": (total_steps - step) * 0.25,
        "peak_memory_bytes": 812345678,
        "grad_norm": 0.71234567,
        "data_wait": 0.01234567,
        **figures,
    }
    times = {"attempt": 1, "t": 1893456000.0 + step / 4, "boot": 2.0 + step / 4}
    return {"event": "progress", **times, "step": step, "total_steps": total_steps, **told}


def evaluated(step: int, loss: float, accuracy: float | None = 0.5) -> dict[str, Any]:
    """One evaluation of the dev half."""
    return {"event": "evaluated", "attempt": 1, "t": 3.0, "boot": 3.0, "step": step} | {
        "eval_loss": loss,
        "accuracy": accuracy,
    }


def finished(state: str = "succeeded") -> dict[str, Any]:
    """The terminal event."""
    return {"event": "finished", "attempt": 1, "t": 9.0, "boot": 9.0, "state": state, "error": None}

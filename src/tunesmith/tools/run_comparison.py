"""Runs side by side: what was configured otherwise, and what came out otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from tunesmith.jobs.files import read_document
from tunesmith.jobs.run_index import Row
from tunesmith.schemas.plans import Plan
from tunesmith.schemas.runs import TrainOutcome
from tunesmith.tools.workspace import Workspace

Group = Literal["configuration", "outcome"]
Table = dict[str, dict[str, Any]]
"""{field: {run: value}}"""

_OUTCOME = ("state", "step", "base_eval_loss", "eval_loss", "accuracy")


def differences(workspace: Workspace, rows: Sequence[Row]) -> dict[Group, Table]:
    """What differs between the runs, in two groups: `configuration` and `outcome`."""
    return {
        "configuration": _table({row["run_id"]: _configuration(workspace, row) for row in rows}),
        "outcome": _table({row["run_id"]: _outcome(workspace, row) for row in rows}),
    }


def _configuration(workspace: Workspace, row: Row) -> dict[str, Any]:
    plan = read_document(workspace.store.handle(row["run_id"]).plan, Plan)
    if plan is None:
        return {}
    data = {"mode": row.get("mode"), "dataset_id": plan.dataset_id, "golden_set_id": plan.golden_set_id}
    return {**data, **plan.config.model_dump(mode="json")}


def _outcome(workspace: Workspace, row: Row) -> dict[str, Any]:
    result = read_document(workspace.store.handle(row["run_id"]).result, TrainOutcome)
    told = {name: row.get(name) for name in _OUTCOME}
    if result is not None:
        told |= {"train_loss": result.train_loss, "trained_tokens": result.trained_tokens}
    return told


def _table(sides: dict[str, dict[str, Any]]) -> Table:
    fields = dict.fromkeys(name for side in sides.values() for name in side)
    table = {name: {run: side.get(name) for run, side in sides.items()} for name in fields}
    return {
        name: values for name, values in table.items() if len({repr(value) for value in values.values()}) > 1
    }

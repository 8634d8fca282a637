"""Runs side by side: what was configured otherwise, what came out otherwise, and which of it may be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tunesmith.jobs.files import read_document
from tunesmith.jobs.run_index import Row
from tunesmith.schemas.base import NextCall
from tunesmith.schemas.enums import Work
from tunesmith.schemas.evaluations import Evaluation
from tunesmith.schemas.plans import Plan
from tunesmith.schemas.runs import TrainOutcome
from tunesmith.tools.workspace import Workspace

Group = Literal["configuration", "outcome"]
Table = dict[str, dict[str, Any]]
"""{field: {run: value}}"""

_OUTCOME = ("state", "step", "base_eval_loss", "eval_loss", "accuracy")


@dataclass(frozen=True)
class SideBySide:
    """What differs between runs, in two groups: `configuration` and `outcome`. `notes` say what of it is no comparison,
    and `next` what would be one."""

    differences: dict[Group, Table]
    notes: list[str]
    next: list[NextCall]


def side_by_side(workspace: Workspace, rows: Sequence[Row]) -> SideBySide:
    """Where base models differ, losses and accuracies per token may count different tokens: bits per byte stand beside
    them then, from the evaluations that there are."""
    configured = _table({row["run_id"]: _configuration(workspace, row) for row in rows})
    outcomes = {row["run_id"]: _outcome(workspace, row) for row in rows}
    notes, calls = [], []
    if "golden_set_id" in configured:
        notes.append("Their golden sets differ: do not compare losses and accuracies between them.")
    if "base_model" in configured and _may_cut_texts_differently(workspace, list(outcomes)):
        scored = _bits_per_byte(workspace, list(outcomes))
        for run, value in scored.values.items():
            outcomes[run]["bits_per_byte"] = value
        missing = [run for run in outcomes if run not in scored.values]
        notes.append(_on_vocabularies(scored, missing))
        calls = [scored.call_for(run) for run in missing] if scored.golden_set_id else []
    return SideBySide({"configuration": configured, "outcome": _table(outcomes)}, notes, calls)


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


@dataclass(frozen=True)
class _Scored:
    """Bits per byte of runs on one half of one golden set."""

    golden_set_id: str | None
    half: str
    values: dict[str, float]

    def call_for(self, run: str) -> NextCall:
        arguments = {"model": run, "golden_set_id": self.golden_set_id, "half": self.half}
        return NextCall(tool="evaluate_model", arguments=arguments, why="its bits per byte, to compare")


def _may_cut_texts_differently(workspace: Workspace, runs: Sequence[str]) -> bool:
    """Whether the runs' tokenizers are not all known to be the same."""
    found = set()
    for run in runs:
        try:
            content = (workspace.store.handle(run).adapter / "tokenizer.json").read_bytes()
        except OSError:
            return True
        found.add(hashlib.sha256(content).digest())
    return len(found) > 1


def _bits_per_byte(workspace: Workspace, runs: Sequence[str]) -> _Scored:
    """On the half that most of the runs were scored on without an extra prompt, by their newest evaluations."""
    newest: dict[tuple[str, str], dict[str, Evaluation]] = {}
    for handle in workspace.store.handles(Work.EVALUATE):
        found = read_document(workspace.store.handle(handle).result, Evaluation)
        if found is None or found.model not in runs or found.variant or "bits_per_byte" not in found.scores:
            continue
        on_half = newest.setdefault((found.golden_set_id, found.half.value), {})
        if found.model not in on_half or on_half[found.model].created_at < found.created_at:
            on_half[found.model] = found
    if not newest:
        return _Scored(None, "dev", {})
    (golden_set_id, half), scored = max(newest.items(), key=lambda item: (len(item[1]), item[0]))
    values = {run: scored[run].scores["bits_per_byte"].value for run in runs if run in scored}
    return _Scored(golden_set_id, half, values)


def _on_vocabularies(scored: _Scored, missing: Sequence[str]) -> str:
    why = (
        "Their base models may cut text into different tokens: do not compare losses, perplexities and accuracies per "
        "token between them, but bits per byte on the same rows"
    )
    if not scored.values:
        return (
            f"{why}. None of them has been scored so: call evaluate_model for each, with the same golden set."
        )
    found = ", ".join(f"{run} {value:.4g}" for run, value in scored.values.items())
    told = f"{why}; on the {scored.half} half of {scored.golden_set_id}: {found}."
    return (
        f"{told} {' and '.join(missing)} {'has' if len(missing) == 1 else 'have'} none there."
        if missing
        else told
    )

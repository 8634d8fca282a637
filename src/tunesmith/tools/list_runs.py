"""list_runs: find runs, and see what differs between them."""

from __future__ import annotations

from typing import Annotated, Any

import anyio
from pydantic import Field

from tunesmith.jobs.files import read_document
from tunesmith.schemas.base import NextCall
from tunesmith.schemas.enums import Work
from tunesmith.schemas.errors import UnknownHandle
from tunesmith.schemas.handles import is_handle, require_handle
from tunesmith.schemas.plans import Plan
from tunesmith.schemas.runs import ListRunsResult, RunSummary, TrainRequest
from tunesmith.tools.wording import and_next, figure
from tunesmith.tools.workspace import Workspace


async def list_runs(
    workspace: Workspace,
    query: Annotated[
        str | None,
        Field(description="words to find in handle, state, model, method or dataset", max_length=200),
    ] = None,
    limit: Annotated[int, Field(ge=1, le=100)] = 20,
    compare: Annotated[
        list[str] | None, Field(description="run handles whose configuration and scores to set side by side")
    ] = None,
) -> ListRunsResult:
    """Find runs, newest first; with `compare`, what differs in configuration beside what differs in outcome."""
    for handle in compare or []:
        require_handle(handle, "run", "compare")
        workspace.observer.look(handle)
    return await anyio.to_thread.run_sync(_list, workspace, query, limit, compare)


def summaries(workspace: Workspace) -> list[RunSummary]:
    """All runs of the store, newest first; what cannot be read is listed as unreadable, never hidden."""
    handles = [handle for handle in workspace.store.handles(Work.TRAIN) if is_handle(handle, "run")]
    found = [_summary(workspace, handle) for handle in handles]
    return sorted(found, key=lambda run: run.created_at or "", reverse=True)


def _list(workspace: Workspace, query: str | None, limit: int, compare: list[str] | None) -> ListRunsResult:
    runs = summaries(workspace)
    if compare:
        runs = [run for run in runs if run.run_id in compare]
    words = (query or "").lower().split()
    found = [run for run in runs if all(word in _text(run) for word in words)]
    differences = _differences(workspace, found) if compare else None
    calls = []
    if found:
        calls.append(
            NextCall(tool="get_status", arguments={"run_id": found[0].run_id}, why="the newest one's status")
        )
    return ListRunsResult(runs=found[:limit], total=len(found), differences=differences, next=calls)


def _summary(workspace: Workspace, handle: str) -> RunSummary:
    paths = workspace.store.handle(handle)
    request, plan = read_document(paths.request, TrainRequest), read_document(paths.plan, Plan)
    try:
        snapshot = workspace.observer.look(handle)
    except UnknownHandle:
        return RunSummary(run_id=handle, state="unreadable")
    if request is None or plan is None:
        return RunSummary(run_id=handle, state="unreadable")
    evaluations = snapshot.ledger.evaluations
    return RunSummary(
        run_id=handle,
        state=snapshot.state,
        mode=request.mode,
        base_model=plan.config.base_model,
        tuning_method=plan.config.tuning_method,
        dataset_id=plan.dataset_id,
        step=snapshot.ledger.progress.get("step"),
        total_steps=snapshot.ledger.progress.get("total_steps", plan.config.total_steps),
        base_eval_loss=evaluations[0][1] if evaluations and evaluations[0][0] == 0 else None,
        eval_loss=evaluations[-1][1] if evaluations and evaluations[-1][0] > 0 else None,
        created_at=request.created_at,
    )


def _text(run: RunSummary) -> str:
    fields = (run.run_id, run.state, run.base_model, run.tuning_method, run.dataset_id, run.mode)
    return " ".join(str(field) for field in fields if field).lower()


def _differences(workspace: Workspace, runs: list[RunSummary]) -> dict[str, dict[str, Any]]:
    sides: dict[str, dict[str, Any]] = {}
    for run in runs:
        plan = read_document(workspace.store.handle(run.run_id).plan, Plan)
        config = {} if plan is None else plan.config.model_dump(mode="json")
        outcome = run.model_dump(
            mode="json", include={"state", "step", "base_eval_loss", "eval_loss", "dataset_id"}
        )
        sides[run.run_id] = {**config, **outcome}
    fields = dict.fromkeys(name for side in sides.values() for name in side)
    table = {name: {run: side.get(name) for run, side in sides.items()} for name in fields}
    return {
        name: values for name, values in table.items() if len({str(value) for value in values.values()}) > 1
    }


def describe(result: ListRunsResult) -> str:
    """The result in a few lines."""
    lines = [f"{len(result.runs)} of {result.total} runs."]
    for run in result.runs:
        lines.append(
            f"- {run.run_id} {run.state}: {run.tuning_method} of {run.base_model}, step {run.step or 0}/"
            f"{run.total_steps or '?'}, eval loss {figure(run.base_eval_loss)} -> {figure(run.eval_loss)}"
        )
    for name, values in (result.differences or {}).items():
        lines.append(f"differs in {name}: " + "; ".join(f"{run} {value}" for run, value in values.items()))
    return and_next("\n".join(lines), result.next)

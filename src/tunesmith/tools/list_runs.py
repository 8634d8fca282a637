"""list_runs: find runs, and see what differs between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import anyio
from pydantic import Field

from tunesmith.jobs.run_index import Row
from tunesmith.jobs.snapshot import unknown_handle
from tunesmith.schemas.base import NextCall
from tunesmith.schemas.errors import InvalidArgument
from tunesmith.schemas.handles import require_handle
from tunesmith.schemas.runs import ListRunsResult, RunSummary
from tunesmith.tools.run_comparison import side_by_side
from tunesmith.tools.run_summaries import UNREADABLE, all_rows, row_of
from tunesmith.tools.wording import and_next, figure
from tunesmith.tools.workspace import Workspace

Sort = Literal["newest", "eval_loss", "model"]
_SEARCHED = ("run_id", "state", "base_model", "tuning_method", "dataset_id", "mode")


async def list_runs(
    workspace: Workspace,
    query: Annotated[
        str | None,
        Field(description="words to find in handle, state, model, method or dataset", max_length=200),
    ] = None,
    sort: Annotated[Sort, Field(description="eval_loss: lowest first")] = "newest",
    limit: Annotated[int, Field(ge=1, le=100)] = 20,
    after: Annotated[
        str | None, Field(description="last run of the page before; see next", max_length=300)
    ] = None,
    compare: Annotated[
        list[str] | None, Field(description="run handles whose configuration and scores to set side by side")
    ] = None,
) -> ListRunsResult:
    """Find runs, page by page; with `compare`, what differs in configuration beside what differs in outcome."""
    asked = {"query": query, "sort": sort, "limit": limit, "compare": compare}
    return await anyio.to_thread.run_sync(_list, workspace, asked, after)


def _list(workspace: Workspace, asked: dict[str, Any], after: str | None) -> ListRunsResult:
    rows = _compared(workspace, asked["compare"]) if asked["compare"] else all_rows(workspace)
    rows = _sorted(rows, asked["sort"])
    words = (asked["query"] or "").lower().split()
    matching = [row for row in rows if all(word in _text(row) for word in words)] if words else rows
    rest = _after(rows, matching, after)
    page = rest[: asked["limit"]]
    found = side_by_side(workspace, page) if asked["compare"] else None
    return ListRunsResult(
        runs=[RunSummary(**row) for row in page],
        total=len(matching),
        differences=found.differences if found else None,
        notes=found.notes if found else [],
        next=[*(found.next if found else []), *_next(asked, page, left=len(rest) - len(page))],
    )


def _compared(workspace: Workspace, handles: Sequence[str]) -> list[Row]:
    """The rows of the named runs.

    Raises:
        InvalidArgument, UnknownHandle: one of them is not a run of this store.
    """
    for handle in handles:
        require_handle(handle, "run", "compare")
        if not workspace.store.handle(handle).folder.is_dir():
            raise unknown_handle(handle)
    return [row_of(workspace, handle) for handle in dict.fromkeys(handles)]


def _sorted(rows: list[Row], sort: Sort) -> list[Row]:
    """In the wanted order; among equals the newest first, and last the runs without the figure."""
    newest = sorted(rows, key=lambda row: (row.get("created_at", ""), row["run_id"]), reverse=True)
    if sort == "newest":
        return newest
    figure_of = "eval_loss" if sort == "eval_loss" else "base_model"
    with_figure = [row for row in newest if figure_of in row]
    return sorted(with_figure, key=lambda row: row[figure_of]) + [
        row for row in newest if figure_of not in row
    ]


def _text(row: Row) -> str:
    return " ".join([row[field] for field in _SEARCHED if field in row]).lower()


def _after(rows: list[Row], matching: list[Row], after: str | None) -> list[Row]:
    """The matching rows behind the run `after`. Runs added since, and one that no longer matches, move no page.

    Raises:
        InvalidArgument: there is no such run.
    """
    if after is None:
        return matching
    places = {row["run_id"]: place for place, row in enumerate(rows)}
    if after not in places:
        raise InvalidArgument(
            "after names no run that this list has; it may have been removed meanwhile.",
            "Call list_runs without after, and pass on what next says.",
        )
    return [row for row in matching if places[row["run_id"]] > places[after]]


def _next(asked: dict[str, Any], page: list[Row], left: int) -> list[NextCall]:
    calls = []
    readable = next((row["run_id"] for row in page if row["state"] != UNREADABLE), None)
    if readable is not None:
        calls.append(
            NextCall(tool="get_status", arguments={"run_id": readable}, why="the first one's status")
        )
    if left:
        given = {name: value for name, value in asked.items() if value}
        arguments = {**given, "after": page[-1]["run_id"]}
        calls.append(
            NextCall(tool="list_runs", arguments=arguments, why=f"the next page; {left} runs are left")
        )
    return calls


def describe(result: ListRunsResult) -> str:
    """The result in a few lines."""
    lines = [f"{len(result.runs)} of {result.total} runs."]
    lines += [_line(run) for run in result.runs]
    for group, table in (result.differences or {}).items():
        lines.append(f"Different in {group}:" if table else f"Nothing is different in {group}.")
        for name, values in table.items():
            lines.append(f"- {name}: " + "; ".join(f"{run} {value}" for run, value in values.items()))
    return and_next("\n".join([*lines, *result.notes]), result.next)


def _line(run: RunSummary) -> str:
    if run.state == UNREADABLE:
        return f"- {run.run_id} unreadable: damaged, or written by something else or a newer Tunesmith; left as it is"
    return (
        f"- {run.run_id} {run.state}: {run.tuning_method} of {run.base_model}, step {run.step or 0}/"
        f"{run.total_steps or '?'}, eval loss {figure(run.base_eval_loss)} -> {figure(run.eval_loss)}"
    )

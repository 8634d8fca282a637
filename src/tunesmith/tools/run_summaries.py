"""A line for each run of a store, whatever state its files are in."""

from __future__ import annotations

from tunesmith.jobs.files import read_document
from tunesmith.jobs.run_index import Row, RunIndex
from tunesmith.jobs.scrub import visible
from tunesmith.jobs.snapshot import Snapshot
from tunesmith.schemas.enums import Work
from tunesmith.schemas.errors import UnknownHandle
from tunesmith.schemas.handles import is_handle
from tunesmith.schemas.plans import Plan
from tunesmith.schemas.runs import RunSummary, TrainRequest
from tunesmith.tools.workspace import Workspace

UNREADABLE = "unreadable"


def all_rows(workspace: Workspace) -> list[Row]:
    """A row for each run, in no particular order; what cannot be read is listed as unreadable, never hidden."""
    names = workspace.store.handles(Work.TRAIN)
    handles = [name for name in names if is_handle(name, "run")]
    index = RunIndex(workspace.store)
    rows = [{"run_id": visible(name), "state": UNREADABLE} for name in names if not is_handle(name, "run")]
    for handle in handles:
        seen = index.look(handle)  # before anything is read: what changes meanwhile is read again next time
        row = index.find(handle, seen)
        if row is None:
            row, is_final = _row(workspace, handle)
            if is_final:
                index.add(handle, seen, row)
        rows.append(row)
    index.keep(handles)
    return rows


def row_of(workspace: Workspace, handle: str) -> Row:
    """One run's row, from its files."""
    return _row(workspace, handle)[0]


def _row(workspace: Workspace, handle: str) -> tuple[Row, bool]:
    """The row, and whether it stays as long as the run's files do."""
    try:
        snapshot = workspace.observer.look(handle)
        row = _summary(snapshot).model_dump(mode="json", exclude_none=True)
    except (UnknownHandle, OSError, ValueError, TypeError, LookupError, ArithmeticError):
        # Files that somebody else wrote, or damaged, hold any JSON: states there are not, words for numbers.
        return {"run_id": handle, "state": UNREADABLE}, False
    return row, snapshot.ledger.finished is not None and row["state"] != UNREADABLE


def _summary(snapshot: Snapshot) -> RunSummary:
    paths, ledger = snapshot.paths, snapshot.ledger
    request, plan = read_document(paths.request, TrainRequest), read_document(paths.plan, Plan)
    if request is None or plan is None:
        return RunSummary(run_id=snapshot.handle, state="unreadable")
    first, last = (ledger.evaluations[0], ledger.evaluations[-1]) if ledger.evaluations else (None, None)
    return RunSummary(
        run_id=snapshot.handle,
        state=snapshot.state,
        mode=request.mode,
        base_model=plan.config.base_model,
        tuning_method=plan.config.tuning_method,
        dataset_id=plan.dataset_id,
        step=ledger.progress.get("step"),
        total_steps=ledger.progress.get("total_steps", plan.config.total_steps),
        base_eval_loss=first[1] if first and first[0] == 0 else None,
        eval_loss=last[1] if last and last[0] > 0 else None,
        accuracy=last[2] if last and last[0] > 0 else None,
        created_at=request.created_at,
    )

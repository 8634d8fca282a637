"""stop_training: finish the step, save, stop."""

from __future__ import annotations

from typing import Annotated

import anyio
from pydantic import Field

from tunesmith.schemas.base import NextCall
from tunesmith.schemas.errors import InvalidArgument
from tunesmith.schemas.handles import is_handle
from tunesmith.schemas.runs import StopTrainingResult
from tunesmith.tools.wording import and_next
from tunesmith.tools.workspace import Workspace


async def stop_training(
    workspace: Workspace,
    run_id: Annotated[str, Field(description="run-… handle, or the handle of other work still going on")],
    grace_s: Annotated[
        float, Field(ge=0, le=3600, description="killed after this long; what was saved before stays")
    ] = 120,
) -> StopTrainingResult:
    """Ask a run to finish its step, save and stop; start_training can resume it. Ends any other work without a result.

    Harmless once it has ended.
    """
    if not is_handle(run_id):
        raise InvalidArgument(
            "run_id is not a handle; they look like run-… and come from start_training.",
            "Pass a handle unchanged, or call list_runs to see the runs there are.",
        )
    snapshot = workspace.observer.look(run_id)
    if snapshot.state.is_active:
        attempt = max(1, snapshot.ledger.attempt)
        await anyio.to_thread.run_sync(workspace.executor.request_stop, run_id, attempt, grace_s)
        snapshot = workspace.observer.look(run_id)
    call = NextCall(
        tool="get_status", arguments={"run_id": run_id, "wait_s": 30}, why="waits until it has stopped"
    )
    return StopTrainingResult(run_id=run_id, state=snapshot.state, next=[call])


def describe(result: StopTrainingResult) -> str:
    """The result in a few lines."""
    return and_next(f"{result.run_id} is {result.state.value}.", result.next)

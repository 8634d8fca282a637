"""start_training: hand a plan to the background and return at once."""

from __future__ import annotations

from typing import Annotated, Literal

import anyio
from pydantic import Field

from tunesmith.jobs import clock
from tunesmith.jobs.files import read_document, write_document
from tunesmith.jobs.paths import HandlePaths
from tunesmith.jobs.pruning import require_checkpoints
from tunesmith.jobs.room import require_room
from tunesmith.jobs.snapshot import Snapshot
from tunesmith.jobs.submission import next_attempt
from tunesmith.schemas.base import NextCall
from tunesmith.schemas.enums import RunState, TrainingMode, Work
from tunesmith.schemas.errors import InvalidArgument, Mismatch, NotReady
from tunesmith.schemas.handles import derived_handle, new_handle, require_handle
from tunesmith.schemas.plans import Plan
from tunesmith.schemas.runs import StartTrainingResult, TrackerName, TrainRequest
from tunesmith.tools.continuation import check_continues
from tunesmith.tools.parameters import PlanId
from tunesmith.tools.trackers import require_installed, stored_trackers, tracking_of
from tunesmith.tools.wording import and_next
from tunesmith.tools.workspace import Workspace

_RESUMABLE = (RunState.INTERRUPTED, RunState.STOPPED, RunState.FAILED)


async def start_training(
    workspace: Workspace,
    plan_id: PlanId,
    mode: Annotated[
        Literal["full", "smoke"], Field(description="smoke: a trial of at most five minutes, go or no-go")
    ] = "full",
    resume_run_id: Annotated[
        str | None,
        Field(
            description="a run to go on with: one of this plan that did not finish, or any whose plan has fewer epochs"
        ),
    ] = None,
    request_key: Annotated[
        str | None,
        Field(
            description="any text of yours; the same key never starts a second run",
            min_length=1,
            max_length=200,
        ),
    ] = None,
    report_to: list[TrackerName] | None = None,
    executor: Annotated[Literal["local"], Field(description="where it runs")] = "local",
) -> StartTrainingResult:
    """Start, try out or resume the training of a plan, in the background. Returns at once.

    The run survives this call, the client and the server. Pass request_key, so that a repeated call is harmless.
    """
    trackers = None if report_to is None else list(dict.fromkeys(report_to))
    require_installed(trackers or [])
    plan = workspace.result(plan_id, "plan", "plan_id", Plan)
    if resume_run_id is not None:
        return await anyio.to_thread.run_sync(
            _resume, workspace, plan, resume_run_id, mode, request_key, trackers
        )
    request = TrainRequest(
        plan_id=plan_id,
        mode=TrainingMode(mode),
        request_key=request_key,
        report_to=trackers or [],
        created_at=clock.timestamp(),
    )
    handle = (
        new_handle(Work.TRAIN) if request_key is None else derived_handle(Work.TRAIN, plan_id, request_key)
    )

    return await anyio.to_thread.run_sync(_submit, workspace, plan, handle, request)


def _submit(workspace: Workspace, plan: Plan, handle: str, request: TrainRequest) -> StartTrainingResult:
    if request.mode is TrainingMode.FULL and not workspace.store.handle(handle).folder.exists():
        require_room(workspace.store, plan)

    def fill(paths: HandlePaths) -> None:
        write_document(paths.plan, plan)
        if request.report_to:
            write_document(paths.tracking, tracking_of(request.report_to))

    created = workspace.executor.submit(handle, request, fill)
    state = workspace.observer.look(handle).state
    return StartTrainingResult(run_id=handle, state=state, created=created, next=_next(handle))


def _resume(
    workspace: Workspace,
    plan: Plan,
    run_id: str,
    mode: str,
    request_key: str | None,
    trackers: list[TrackerName] | None,
) -> StartTrainingResult:
    """Without `trackers` the run goes on reporting to those that it has."""
    require_handle(run_id, "run", "resume_run_id")
    snapshot = workspace.observer.look(run_id)
    request = read_document(snapshot.paths.request, TrainRequest)
    if request is None:
        raise Mismatch(
            f"The request of {run_id} cannot be read.", "Call start_training without resume_run_id."
        )
    if request.mode is not TrainingMode.FULL or mode != TrainingMode.FULL or request_key is not None:
        raise InvalidArgument(
            "Only full runs are resumed, and resume_run_id already says which one; mode and request_key do not apply.",
            f'Call start_training(plan_id="{plan.plan_id}", resume_run_id="{run_id}") alone.',
        )
    if request.plan_id != plan.plan_id:
        return _continue(workspace, plan, snapshot, trackers)
    if snapshot.doubt:
        raise NotReady(
            f"It is not known whether the process of {run_id} is alive: {snapshot.doubt}.",
            f"Let a person look there; when it is surely gone: tunesmith runs declare-dead {run_id}; then call again.",
        )
    if snapshot.state.is_active:  # a repeated call: it goes on already
        return StartTrainingResult(run_id=run_id, state=snapshot.state, created=False, next=_next(run_id))
    if snapshot.state not in _RESUMABLE:
        raise InvalidArgument(
            f"{run_id} has {snapshot.state.value}; there is nothing left to resume.",
            f'Call evaluate_model with model="{run_id}"; or, to train it for longer, configure_lora as for '
            f'{plan.plan_id} with more epochs, then start_training with that plan and resume_run_id="{run_id}".',
        )
    require_checkpoints(workspace.observer, run_id)
    require_room(workspace.store, plan)
    if trackers is not None:
        write_document(snapshot.paths.tracking, tracking_of(trackers))
    workspace.executor.resume(run_id, next_attempt(snapshot.paths, snapshot.ledger.attempt))
    state = workspace.observer.look(run_id).state
    return StartTrainingResult(run_id=run_id, state=state, created=True, next=_next(run_id))


def _continue(
    workspace: Workspace, plan: Plan, earlier: Snapshot, trackers: list[TrackerName] | None
) -> StartTrainingResult:
    """A run of its own that begins with the last checkpoint of another: that one and its adapter stay as they are."""
    handle = derived_handle(Work.TRAIN, plan.plan_id, "continues", earlier.handle)
    if not workspace.store.handle(handle).folder.exists():
        check_continues(plan, earlier)
    request = TrainRequest(
        plan_id=plan.plan_id,
        mode=TrainingMode.FULL,
        request_key=None,
        continues=earlier.handle,
        report_to=stored_trackers(earlier.paths) if trackers is None else trackers,
        created_at=clock.timestamp(),
    )
    return _submit(workspace, plan, handle, request)


def _next(handle: str) -> list[NextCall]:
    return [
        NextCall(
            tool="get_status",
            arguments={"run_id": handle, "wait_s": 30},
            why="waits for the next evaluation or the end instead of polling",
        )
    ]


def describe(result: StartTrainingResult) -> str:
    """The result in a few lines."""
    what = "started" if result.created else "was started before by this request_key"
    return and_next(f"{result.run_id} {what}; it is {result.state.value}.", result.next)

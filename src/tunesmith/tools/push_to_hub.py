"""push_to_hub: publish a finished run, privately unless somebody said otherwise."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tunesmith.jobs.files import read_document
from tunesmith.jobs.snapshot import Snapshot
from tunesmith.schemas.base import NextCall
from tunesmith.schemas.enums import RunState, TrainingMode, Work
from tunesmith.schemas.errors import InvalidArgument
from tunesmith.schemas.handles import new_handle, require_handle
from tunesmith.schemas.publishing import Push, PushRequest, PushToHubResult
from tunesmith.schemas.runs import TrainRequest
from tunesmith.tools.models import require_model
from tunesmith.tools.parameters import RunId
from tunesmith.tools.wording import and_next, ask_again, size
from tunesmith.tools.workspace import Workspace


async def push_to_hub(
    workspace: Workspace,
    run_id: RunId,
    repo_id: Annotated[str, Field(description="name or namespace/name", min_length=1, max_length=200)],
    private: Annotated[bool, Field(description="false publishes to everybody: ask the person first")] = True,
    dry_run: Annotated[bool, Field(description="list what would go up, and send nothing")] = False,
    revision: Annotated[str | None, Field(description="branch")] = None,
    message: Annotated[str | None, Field(description="commit message", max_length=500)] = None,
) -> PushToHubResult:
    """Upload a finished run's adapter, tokenizer, plan and model card. Never data, logs or optimizer state.

    The token is read from HF_TOKEN in the server's environment; never pass one.
    """
    require_handle(run_id, "run", "run_id")
    _refuse_trial(workspace, run_id)
    require_model(workspace, run_id)
    request = PushRequest(
        run_id=run_id, repo_id=repo_id, private=private, dry_run=dry_run, revision=revision, message=message
    )
    snapshot = await workspace.run(new_handle(Work.PUSH), request, direct=True)
    return result_of(workspace, snapshot, request)


def _refuse_trial(workspace: Workspace, run_id: str) -> None:
    training = read_document(workspace.observer.look(run_id).paths.request, TrainRequest)
    if training is not None and training.mode is TrainingMode.SMOKE:
        raise InvalidArgument(
            f"{run_id} is a trial of a few steps, and nothing to publish.",
            f'Call start_training(plan_id="{training.plan_id}", mode="full"), and push that run.',
        )


def result_of(workspace: Workspace, snapshot: Snapshot, request: PushRequest) -> PushToHubResult:
    """What is known of a push now."""
    handle = snapshot.handle
    if snapshot.state is not RunState.SUCCEEDED:
        return PushToHubResult(push_id=handle, state=snapshot.state, next=[ask_again(handle)])
    found = workspace.result(handle, "push", "push_id", Push)
    calls = []
    if found.dry_run:
        arguments = {"run_id": request.run_id, "repo_id": request.repo_id, "private": request.private}
        calls.append(NextCall(tool="push_to_hub", arguments=arguments, why="send exactly these files"))
    return PushToHubResult(
        push_id=handle,
        state=snapshot.state,
        url=found.url,
        private=found.private,
        files=found.files,
        commit=found.commit,
        next=calls,
    )


def describe(result: PushToHubResult) -> str:
    """The result in a few lines."""
    if result.files is None:
        return and_next(f"{result.push_id}: pushing is {result.state.value}.", result.next)
    total = size(sum(file.size_bytes for file in result.files))
    visibility = "private" if result.private else "PUBLIC"
    if result.commit is None:
        head = f"Dry run, nothing sent: {len(result.files)} files, {total}, would go to {result.url} ({visibility})."
    else:
        head = (
            f"{len(result.files)} files, {total}, are at {result.url} ({visibility}), commit {result.commit}."
        )
    listing = "\n".join(f"- {file.path} ({size(file.size_bytes)})" for file in result.files)
    return and_next(f"{head}\n{listing}", result.next)

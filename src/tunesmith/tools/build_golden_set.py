"""build_golden_set: rows that training never sees."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tunesmith.jobs.snapshot import Snapshot
from tunesmith.schemas.base import NextCall
from tunesmith.schemas.datasets import BuildGoldenSetRequest, BuildGoldenSetResult, DatasetCard, GoldenSetCard
from tunesmith.schemas.enums import RunState, Work
from tunesmith.schemas.errors import InvalidArgument
from tunesmith.schemas.handles import new_handle
from tunesmith.tools.parameters import DatasetId, Seed
from tunesmith.tools.wording import and_next, ask_again
from tunesmith.tools.workspace import Workspace


async def build_golden_set(
    workspace: Workspace,
    dataset_id: DatasetId,
    size: Annotated[int, Field(ge=2, le=100_000, description="held-out rows, both halves together")] = 200,
    stratify_by: Annotated[
        str | None, Field(description="column whose values keep their shares; length always does")
    ] = None,
    seed: Seed = 0,
) -> BuildGoldenSetResult:
    """Hold rows out of a dataset as a dev half (for iterating) and a test half (for the verdict).

    Train on the returned train_dataset_id: it is the rest, without exact copies of held-out rows.
    """
    card = workspace.result(dataset_id, "ds", "dataset_id", DatasetCard)
    if card.golden_set_id is not None:
        raise InvalidArgument(
            f"{dataset_id} is itself the training part of the golden set {card.golden_set_id}.",
            f'Go on with configure_lora(dataset_id="{dataset_id}", golden_set_id="{card.golden_set_id}"), or build '
            f'from its source, dataset_id="{card.parent_dataset_id}".',
        )
    request = BuildGoldenSetRequest(
        dataset_id=dataset_id,
        size=size,
        stratify_by=stratify_by,
        seed=seed,
        train_dataset_id=new_handle(Work.LOAD_DATASET),
    )
    snapshot = await workspace.run(new_handle(Work.BUILD_GOLDEN_SET), request)
    return result_of(workspace, snapshot, request.train_dataset_id)


def result_of(workspace: Workspace, snapshot: Snapshot, train_dataset_id: str) -> BuildGoldenSetResult:
    """What is known of a golden set now."""
    handle = snapshot.handle
    if snapshot.state is not RunState.SUCCEEDED:
        return BuildGoldenSetResult(
            golden_set_id=handle,
            state=snapshot.state,
            train_dataset_id=train_dataset_id,
            next=[ask_again(handle)],
        )
    card = workspace.result(handle, "gold", "golden_set_id", GoldenSetCard)
    call = NextCall(
        tool="configure_lora",
        arguments={"base_model": "<model>", "dataset_id": card.train_dataset_id, "golden_set_id": handle},
        why="plan the training on the rows that are not held out",
    )
    return BuildGoldenSetResult(
        golden_set_id=handle,
        state=snapshot.state,
        train_dataset_id=card.train_dataset_id,
        train_rows=card.train_rows,
        dev_rows=card.dev_rows,
        test_rows=card.test_rows,
        leaks_removed=card.leaks_removed,
        next=[call],
    )


def describe(result: BuildGoldenSetResult) -> str:
    """The result in a few lines."""
    if result.dev_rows is None:
        return and_next(f"{result.golden_set_id}: building is {result.state.value}.", result.next)
    return and_next(
        f"{result.golden_set_id}: {result.dev_rows} dev and {result.test_rows} test rows held out; "
        f"{result.leaks_removed} copies of them removed; {result.train_rows:,} rows left to train on as "
        f"{result.train_dataset_id}.",
        result.next,
    )

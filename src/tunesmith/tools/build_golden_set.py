"""build_golden_set: rows that training never sees."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tunesmith.jobs.snapshot import Snapshot
from tunesmith.schemas.base import NextCall
from tunesmith.schemas.datasets import BuildGoldenSetRequest, BuildGoldenSetResult, DatasetCard, GoldenSetCard
from tunesmith.schemas.enums import RunState, Work
from tunesmith.schemas.errors import InvalidArgument
from tunesmith.schemas.handles import is_handle, new_handle
from tunesmith.tools.lineage import lineage
from tunesmith.tools.parameters import DatasetId, Seed
from tunesmith.tools.wording import and_next, ask_again, counts
from tunesmith.tools.workspace import Workspace


async def build_golden_set(
    workspace: Workspace,
    dataset_id: DatasetId,
    size: Annotated[
        float,
        Field(gt=0, le=100_000, description="held-out rows, both halves together; below 1: their share"),
    ] = 200,
    stratify_by: Annotated[
        str | None,
        Field(description="column whose values keep their shares; labels, length and topic always do"),
    ] = None,
    seed: Seed = 0,
    decontaminate_against: Annotated[
        list[str] | None,
        Field(
            max_length=20,
            description="ds-… and gold-… handles that training rows may not overlap with either",
        ),
    ] = None,
    retention_dataset_id: Annotated[
        str | None,
        Field(description="ds-… handle of general text, some of which is kept to measure forgetting"),
    ] = None,
) -> BuildGoldenSetResult:
    """Hold diverse rows out of a dataset as a dev half (for iterating) and a test half (for the verdict).

    Train on the returned train_dataset_id: it is the rest, without copies, near copies and overlaps of held-out rows.
    """
    if size >= 1 and size != int(size):
        raise InvalidArgument(
            f"size={size} is neither a number of rows nor a share below 1.",
            f"Call build_golden_set again with size={round(size)}, or with a share such as 0.1.",
        )
    others = list(dict.fromkeys(decontaminate_against or []))
    for other in others:
        _require_made(workspace, other, "decontaminate_against")
    if retention_dataset_id is not None:
        workspace.result(retention_dataset_id, "ds", "retention_dataset_id", DatasetCard)
    card = workspace.result(dataset_id, "ds", "dataset_id", DatasetCard)
    versions = {version.dataset_id for version in lineage(workspace, card)}
    if versions & set(others):
        raise InvalidArgument(
            f"decontaminate_against names {dataset_id} itself or a version it was made from: no row would be left.",
            "Call build_golden_set again without it: the held-out rows are kept out of training anyway.",
        )
    if card.golden_set_id is not None:
        raise InvalidArgument(
            f"{dataset_id} is itself the training part of the golden set {card.golden_set_id}.",
            f'Go on with configure_lora(dataset_id="{dataset_id}", golden_set_id="{card.golden_set_id}"), or build '
            f'from its source, dataset_id="{card.parent_dataset_id}".',
        )
    request = BuildGoldenSetRequest(
        dataset_id=dataset_id,
        size=int(size) if size >= 1 else size,
        stratify_by=stratify_by,
        seed=seed,
        decontaminate_against=others,
        retention_dataset_id=retention_dataset_id,
        train_dataset_id=new_handle(Work.LOAD_DATASET),
    )
    snapshot = await workspace.run(new_handle(Work.BUILD_GOLDEN_SET), request)
    return result_of(workspace, snapshot, request.train_dataset_id)


def _require_made(workspace: Workspace, handle: str, parameter: str) -> None:
    if is_handle(handle, "gold"):
        workspace.result(handle, "gold", parameter, GoldenSetCard)
    else:
        workspace.result(handle, "ds", parameter, DatasetCard)


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
    find = NextCall(
        tool="find_models",
        arguments={"dataset_id": card.train_dataset_id},
        why="base models that fit these rows and this machine, if none is named",
    )
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
        overlaps_removed=card.overlaps_removed,
        retention_rows=card.retention_rows,
        coverage=card.coverage,
        next=[find, call],
    )


def describe(result: BuildGoldenSetResult) -> str:
    """The result in a few lines."""
    if result.dev_rows is None:
        return and_next(f"{result.golden_set_id}: building is {result.state.value}.", result.next)
    return and_next(
        f"{result.golden_set_id}: {result.dev_rows} dev and {result.test_rows} test rows held out; "
        f"{result.leaks_removed} rows that overlap with them removed; {result.train_rows:,} rows left to train on as "
        f"{result.train_dataset_id}.{_about_others(result)}",
        result.next,
    )


def _about_others(result: BuildGoldenSetResult) -> str:
    parts = []
    if result.overlaps_removed:
        parts.append(f" Overlaps with other data removed: {counts(result.overlaps_removed)}.")
    if result.retention_rows:
        parts.append(f" {result.retention_rows} rows kept to measure forgetting.")
    if result.coverage:
        parts.append(f" Coverage of the training rows: {counts(result.coverage)}.")
    return "".join(parts)

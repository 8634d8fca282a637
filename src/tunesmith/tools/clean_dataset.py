"""clean_dataset: a new version of a dataset with faulty rows mended or left out."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tunesmith.jobs.snapshot import Snapshot
from tunesmith.schemas.base import NextCall
from tunesmith.schemas.datasets import CleanDatasetRequest, CleanDatasetResult, CleaningCard, DatasetCard
from tunesmith.schemas.enums import Fix, RunState, Work
from tunesmith.schemas.errors import InvalidArgument
from tunesmith.schemas.handles import new_handle
from tunesmith.tools.load_dataset import golden_size, proposed_fixes
from tunesmith.tools.parameters import DatasetId
from tunesmith.tools.wording import and_next, ask_again, counts, verdicts
from tunesmith.tools.workspace import Workspace


async def clean_dataset(
    workspace: Workspace,
    dataset_id: DatasetId,
    fixes: Annotated[
        list[Fix] | None,
        Field(description="default: those that the quality report proposes"),
    ] = None,
    dry_run: Annotated[bool, Field(description="only count what would change")] = False,
) -> CleanDatasetResult:
    """Apply fixes that the quality report proposes. Makes a new dataset; the old one stays as it is.

    Every dropped or changed row is counted, and listed by its number in the source.
    """
    card = workspace.result(dataset_id, "ds", "dataset_id", DatasetCard)
    chosen = proposed_fixes(card) if fixes is None else list(dict.fromkeys(fixes))
    if not chosen:
        raise InvalidArgument(
            f"The quality report of {dataset_id} proposes no fixes."
            if fixes is None
            else "fixes is an empty list.",
            "Go on with the dataset as it is, or name fixes.",
        )
    request = CleanDatasetRequest(
        dataset_id=dataset_id,
        fixes=chosen,
        dry_run=dry_run,
        cleaned_dataset_id=new_handle(Work.LOAD_DATASET),
    )
    snapshot = await workspace.run(new_handle(Work.CLEAN_DATASET), request)
    return result_of(workspace, snapshot, chosen)


def result_of(workspace: Workspace, snapshot: Snapshot, fixes: list[Fix]) -> CleanDatasetResult:
    """What is known of a cleaning now."""
    handle = snapshot.handle
    if snapshot.state is not RunState.SUCCEEDED:
        return CleanDatasetResult(
            cleaning_id=handle, state=snapshot.state, fixes=fixes, next=[ask_again(handle)]
        )
    card = workspace.result(handle, "clean", "cleaning_id", CleaningCard)
    return CleanDatasetResult(
        cleaning_id=handle,
        state=snapshot.state,
        dataset_id=card.cleaned_dataset_id,
        fixes=card.fixes,
        rows_before=card.rows_before,
        rows=card.rows,
        dropped=card.dropped,
        dropped_rows=card.dropped_rows,
        changed=card.changed,
        changed_rows=card.changed_rows,
        checklist=card.checklist,
        next=[_next(workspace, card)],
    )


def _next(workspace: Workspace, card: CleaningCard) -> NextCall:
    if card.cleaned_dataset_id is None:
        return NextCall(
            tool="clean_dataset",
            arguments={"dataset_id": card.dataset_id, "fixes": [fix.value for fix in card.fixes]},
            why="make the cleaned dataset, if these counts look right",
        )
    cleaned = workspace.result(card.cleaned_dataset_id, "ds", "dataset_id", DatasetCard)
    if cleaned.golden_set_id is not None:
        return NextCall(
            tool="configure_lora",
            arguments={
                "base_model": "<model>",
                "dataset_id": card.cleaned_dataset_id,
                "golden_set_id": cleaned.golden_set_id,
            },
            why="plan the training on these rows",
        )
    return NextCall(
        tool="build_golden_set",
        arguments={"dataset_id": card.cleaned_dataset_id, "size": golden_size(card.rows)},
        why="hold rows out before training, so that the result can be judged",
    )


def describe(result: CleanDatasetResult) -> str:
    """The result in a few lines."""
    if result.rows is None:
        return and_next(f"{result.cleaning_id}: cleaning is {result.state.value}.", result.next)
    what = f"{result.dataset_id}:" if result.dataset_id else "Dry run, nothing was stored:"
    lines = [
        f"{what} {result.rows:,} of {result.rows_before:,} rows left.",
        f"Dropped: {counts(result.dropped or {}) or 'none'}. Mended: {counts(result.changed or {}) or 'none'}.",
        verdicts(result.checklist or {}),
    ]
    return and_next(" ".join(lines), result.next)

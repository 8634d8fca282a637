"""load_dataset: from whatever holds the rows to a dataset handle."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tunesmith.jobs.snapshot import Snapshot
from tunesmith.schemas.base import NextCall
from tunesmith.schemas.datasets import DatasetCard, LoadDatasetRequest, LoadDatasetResult, ModelName
from tunesmith.schemas.enums import DataFormat, Fix, RunState, Verdict, Work
from tunesmith.schemas.handles import new_handle
from tunesmith.tools.locations import locate_dataset, locate_model
from tunesmith.tools.wording import and_next, ask_again, counts, verdicts
from tunesmith.tools.workspace import Workspace


async def load_dataset(
    workspace: Workspace,
    source: Annotated[
        str,
        Field(
            description="path of a file (CSV, JSON, JSONL, Parquet, Arrow, text ...; also compressed) or folder; "
            "pattern such as data/*.jsonl; several, between commas; Hub dataset id; or demo",
            max_length=4096,
        ),
    ],
    subset: Annotated[str | None, Field(description="Hub configuration name")] = None,
    split: Annotated[str, Field(description="e.g. train, test or train[:10%]")] = "train",
    revision: Annotated[str | None, Field(description="Hub branch, tag or commit")] = None,
    format: Annotated[
        Literal["auto", "instruction", "chat", "completion"],
        Field(description="auto tells it row by row; beside chats, prompts become chats"),
    ] = "auto",
    columns: Annotated[
        dict[str, str] | None,
        Field(
            description='role: your column, e.g. {"instruction": "question", "response": "answer"}. Roles: '
            "instruction, input, response; prompt, completion; text, label; messages; history; chosen, rejected; "
            "system, tools, choices. a.b reaches into objects"
        ),
    ] = None,
    template: Annotated[
        str | None,
        Field(
            description="instruction, chat, completion, or a prompt with {column} placeholders",
            max_length=8000,
        ),
    ] = None,
    max_rows: Annotated[int | None, Field(ge=1, description="read no more than these")] = None,
    harm_classifier: Annotated[
        str | None,
        Field(
            description="text-classification model, Hub id or folder, that judges a sample besides the lexicon"
        ),
    ] = None,
    base_model: Annotated[
        str | None, Field(description="model to be tuned, if known: lengths are told in its tokens")
    ] = None,
) -> LoadDatasetResult:
    """Read training data into an immutable dataset. Detects the format, or maps `columns`; drops and counts bad rows.

    Call it first. Look at `dropped` and `quality` before you go on.
    """
    location = locate_dataset(source)
    judge = None if harm_classifier is None else locate_model(harm_classifier, "harm_classifier")
    model = None if base_model is None else locate_model(base_model, "base_model")
    request = LoadDatasetRequest(
        source=source,
        source_kind=location.kind,
        path=location.path,
        paths=list(location.paths),
        subset=subset,
        split=split,
        revision=revision,
        format="auto" if format == "auto" else DataFormat(format),
        columns=columns,
        template=template,
        max_rows=max_rows,
        harm_classifier=None if judge is None else judge.path or harm_classifier,
        base_model=None
        if model is None
        else ModelName(name=base_model or "", kind=model.kind, path=model.path),
    )
    asks_hub = any(place is not None and place.kind == "hub" for place in (location, judge, model))
    handle = new_handle(Work.LOAD_DATASET)
    snapshot = await workspace.run(handle, request, direct=asks_hub)
    return result_of(workspace, snapshot)


def result_of(workspace: Workspace, snapshot: Snapshot) -> LoadDatasetResult:
    """What is known of a dataset now."""
    handle = snapshot.handle
    if snapshot.state is not RunState.SUCCEEDED:
        return LoadDatasetResult(dataset_id=handle, state=snapshot.state, next=[ask_again(handle)])
    card = workspace.result(handle, "ds", "dataset_id", DatasetCard)
    if card.golden_set_id is None:
        call = NextCall(
            tool="build_golden_set",
            arguments={"dataset_id": handle, "size": golden_size(card.rows)},
            why="hold rows out before training, so that the result can be judged",
        )
    else:
        call = NextCall(
            tool="configure_lora",
            arguments={"base_model": "<model>", "dataset_id": handle, "golden_set_id": card.golden_set_id},
            why="plan the training on these rows",
        )
    return LoadDatasetResult(
        dataset_id=handle,
        state=snapshot.state,
        rows=card.rows,
        rows_read=card.rows_read,
        dropped=card.dropped,
        format=card.format,
        columns=card.columns,
        checklist=card.checklist,
        quality=card.quality,
        next=[*_cleaning(card), call],
    )


def _cleaning(card: DatasetCard) -> list[NextCall]:
    if not proposed_fixes(card):
        return []
    return [
        NextCall(
            tool="clean_dataset",
            arguments={"dataset_id": card.dataset_id, "dry_run": True},
            why="see what mending or dropping the rows that the report found would leave",
        )
    ]


def proposed_fixes(card: DatasetCard) -> list[Fix]:
    """What clean_dataset does when nobody names fixes: those proposed by checks that did not pass."""
    proposed = {
        fix for check in card.quality.values() if check.verdict is not Verdict.PASS for fix in check.proposed
    }
    return [fix for fix in Fix if fix in proposed]


def golden_size(rows: int) -> int:
    """A held-out size to propose: 200 rows, or a fifth of a small dataset."""
    return max(2, min(200, rows // 5))


def _mapping(columns: dict[str, str]) -> str:
    return ", ".join(f"{role}={column}" for role, column in columns.items())


def describe(result: LoadDatasetResult) -> str:
    """The result in a few lines."""
    if result.rows is None:
        return and_next(f"{result.dataset_id}: reading is {result.state.value}.", result.next)
    lines = [
        f"{result.dataset_id}: {result.rows:,} of {result.rows_read:,} rows kept, format {result.format}, "
        f"columns {_mapping(result.columns or {})}.",
        f"Dropped: {counts(result.dropped or {}) or 'none'}.",
    ]
    remarks = {name: check.count for name, check in (result.quality or {}).items() if check.verdict != "pass"}
    lines.append(verdicts(result.checklist or {}))
    lines.append(f"Quality: {counts(remarks) if remarks else 'all checks pass'}.")
    return and_next(" ".join(lines), result.next)

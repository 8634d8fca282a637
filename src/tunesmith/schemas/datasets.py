"""Datasets and golden sets: what is asked for, what is stored, what is told."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tunesmith.schemas.base import SCHEMA_VERSION, Document, NextCall
from tunesmith.schemas.enums import DataFormat, Fix, RunState, Verdict

SourceKind = Literal["demo", "local", "hub"]
RowKind = Literal["prompt_completion", "messages", "mixed"]


def _told_if_set(default: Any) -> Any:
    """A field that is left out while it is empty: a report has some thirty checks, and most have nothing to tell."""
    return Field(default=default, exclude_if=lambda value: not value)


class QualityCheck(Document):
    """One check of the quality report. `rows` are source row numbers, from 1, at most ten of them.

    `share` is of the rows read. `kinds` tells what was found; `figures` holds measures such as an imbalance ratio;
    `note` says what the check could not look at; `advice` what to do, `fixes` what clean_dataset
    can do about it, and `proposed` what of that it does by itself.
    """

    verdict: Verdict
    count: int = 0
    share: float = _told_if_set(0.0)
    rows: list[int] = []
    kinds: dict[str, int] = _told_if_set({})
    figures: dict[str, float] = _told_if_set({})
    note: str | None = _told_if_set(None)
    advice: str | None = _told_if_set(None)
    fixes: list[Fix] = _told_if_set([])
    proposed: list[Fix] = _told_if_set([])


class ModelName(Document):
    """A model as it was named: a Hub id, `demo`, or a folder, of which `path` is the resolved one."""

    name: str
    kind: Literal["demo", "local", "hub"]
    path: str | None


class LoadDatasetRequest(Document):
    """`path` is the resolved local file, folder or pattern; None for a Hub id and where `paths` names several.

    `harm_classifier` is a Hub id or a resolved folder; `base_model` the one whose tokens lengths are counted in.
    """

    source: str
    source_kind: SourceKind
    path: str | None
    paths: list[str] = []
    subset: str | None
    split: str
    revision: str | None
    format: DataFormat | Literal["auto"]
    columns: dict[str, str] | None
    template: str | None
    max_rows: int | None
    harm_classifier: str | None = None
    base_model: ModelName | None = None


class DatasetCard(Document):
    """What is known of a dataset; stands beside its rows.

    Rows are Parquet with the columns of one of TRL's standard formats: `prompt`, `completion` (strings), or
    `messages` (a list of {role, content}); beside them `row` (source row number, from 1) and `extras`
    (the row's other scalar columns as a JSON object, for stratifying).
    """

    schema_version: int = SCHEMA_VERSION
    dataset_id: str
    source: str
    source_kind: SourceKind
    subset: str | None = None
    split: str = "train"
    revision: str | None = None
    format: DataFormat
    row_kind: RowKind
    template: str | None = None
    columns: dict[str, str]
    rows: int
    rows_read: int
    dropped: dict[str, int]
    shapes: dict[str, int] = Field(default={}, description="rows per shape they were read from")
    checklist: dict[str, Verdict] = Field(default={}, description="the six lines of the skill's checklist")
    quality: dict[str, QualityCheck]
    base_model: ModelName | None = Field(default=None, description="whose tokens lengths were counted in")
    fingerprint: str = Field(description="sha256 over the rows' content, in order")
    parent_dataset_id: str | None = None
    golden_set_id: str | None = None
    fixes: list[Fix] = Field(default=[], description="what clean_dataset did to make this from its parent")
    changed: dict[str, int] = Field(default={}, description="rows mended, per fix")
    created_at: str


class Ancestor(Document):
    """One version in the lineage of a dataset: what made it, and what that did to the version before."""

    dataset_id: str
    made_by: Literal["load_dataset", "clean_dataset", "build_golden_set"]
    rows: int
    dropped: dict[str, int]
    fixes: list[Fix]
    changed: dict[str, int]
    fingerprint: str
    created_at: str


class CleanDatasetRequest(Document):
    """`cleaned_dataset_id` is chosen when the work is submitted, so that a repeated attempt writes the same one."""

    dataset_id: str
    fixes: list[Fix]
    dry_run: bool
    cleaned_dataset_id: str


class CleaningCard(Document):
    """What a cleaning did, or would do; stands beside no rows of its own.

    `dropped` counts rows per kind of defect, `changed` rows per mending fix; the `…_rows` are source row numbers,
    at most ten each.
    """

    schema_version: int = SCHEMA_VERSION
    cleaning_id: str
    dataset_id: str
    cleaned_dataset_id: str | None
    fixes: list[Fix]
    dry_run: bool
    rows_before: int
    rows: int
    dropped: dict[str, int]
    dropped_rows: dict[str, list[int]]
    changed: dict[str, int]
    changed_rows: dict[str, list[int]]
    checklist: dict[str, Verdict]
    created_at: str


class BuildGoldenSetRequest(Document):
    """`train_dataset_id` is chosen when the work is submitted, so that a repeated attempt writes the same one.

    `size` counts rows; below 1 it is their share.
    """

    dataset_id: str
    size: int | float
    stratify_by: str | None
    seed: int
    decontaminate_against: list[str] = []
    retention_dataset_id: str | None = None
    train_dataset_id: str


class GoldenSetCard(Document):
    """What is known of a golden set; stands beside its two halves, and its retention rows if it has any.

    `leaks_removed` rows overlapped with held-out rows; `overlaps_removed` with what else was to be kept free of, by
    handle ("retention" for the retention rows). `coverage` says how well the held-out rows stand for the
    training rows: shares from 0 to 1, see docs/golden-sets.md.
    """

    schema_version: int = SCHEMA_VERSION
    golden_set_id: str
    dataset_id: str
    train_dataset_id: str
    row_kind: RowKind
    dev_rows: int
    test_rows: int
    train_rows: int
    leaks_removed: int
    stratify_by: str | None
    strata: dict[str, int] = Field(description="held-out rows per stratum")
    population: dict[str, int] = Field(default={}, description="different prompts per stratum")
    overlaps_removed: dict[str, int] = {}
    retention_dataset_id: str | None = None
    retention_rows: int = 0
    retention_fingerprint: str | None = None
    coverage: dict[str, float] = {}
    seed: int
    dev_fingerprint: str
    test_fingerprint: str
    created_at: str


class LoadDatasetResult(Document):
    """While `state` is not succeeded the other fields are empty: ask get_status with the dataset_id."""

    dataset_id: str
    state: RunState
    rows: int | None = None
    rows_read: int | None = None
    dropped: dict[str, int] | None = None
    format: DataFormat | None = None
    columns: dict[str, str] | None = None
    checklist: dict[str, Verdict] | None = None
    quality: dict[str, QualityCheck] | None = None
    next: list[NextCall]


class CleanDatasetResult(Document):
    """While `state` is not succeeded the counts are empty: ask get_status with the cleaning_id.

    After a dry run there is no dataset_id. `checklist` is that of the rows that are left.
    """

    cleaning_id: str
    state: RunState
    dataset_id: str | None = None
    fixes: list[Fix]
    rows_before: int | None = None
    rows: int | None = None
    dropped: dict[str, int] | None = None
    dropped_rows: dict[str, list[int]] | None = None
    changed: dict[str, int] | None = None
    changed_rows: dict[str, list[int]] | None = None
    checklist: dict[str, Verdict] | None = None
    next: list[NextCall]


class BuildGoldenSetResult(Document):
    """While `state` is not succeeded the counts are empty: ask get_status with the golden_set_id."""

    golden_set_id: str
    state: RunState
    train_dataset_id: str
    train_rows: int | None = None
    dev_rows: int | None = None
    test_rows: int | None = None
    leaks_removed: int | None = None
    overlaps_removed: dict[str, int] | None = None
    retention_rows: int | None = None
    coverage: dict[str, float] | None = None
    next: list[NextCall]

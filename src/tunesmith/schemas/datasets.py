"""Datasets and golden sets: what is asked for, what is stored, what is told."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tunesmith.schemas.base import SCHEMA_VERSION, Document, NextCall
from tunesmith.schemas.enums import DataFormat, RunState, Verdict

SourceKind = Literal["demo", "local", "hub"]
RowKind = Literal["prompt_completion", "messages"]


class QualityCheck(Document):
    """One check of the quality report. `rows` are source row numbers, from 1, at most ten of them."""

    verdict: Verdict
    count: int = 0
    rows: list[int] = []


class LoadDatasetRequest(Document):
    """`path` is the resolved local file or folder; it is None for a Hub id."""

    source: str
    source_kind: SourceKind
    path: str | None
    subset: str | None
    split: str
    revision: str | None
    format: DataFormat | Literal["auto"]
    columns: dict[str, str] | None
    template: str | None
    max_rows: int | None


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
    quality: dict[str, QualityCheck]
    fingerprint: str = Field(description="sha256 over the rows' content, in order")
    parent_dataset_id: str | None = None
    golden_set_id: str | None = None
    created_at: str


class BuildGoldenSetRequest(Document):
    """`train_dataset_id` is chosen when the work is submitted, so that a repeated attempt writes the same one."""

    dataset_id: str
    size: int
    stratify_by: str | None
    seed: int
    train_dataset_id: str


class GoldenSetCard(Document):
    """What is known of a golden set; stands beside its two halves."""

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
    quality: dict[str, QualityCheck] | None = None
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
    next: list[NextCall]

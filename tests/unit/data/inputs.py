"""Requests and files to load."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tunesmith.jobs.context import JobContext
from tunesmith.schemas.base import Document
from tunesmith.schemas.datasets import DatasetCard, LoadDatasetRequest
from tunesmith.schemas.enums import Work

StartJob = Callable[[Work, Document], JobContext]
Load = Callable[..., DatasetCard]


def request_for(path: Path, **arguments: Any) -> LoadDatasetRequest:
    defaults: dict[str, Any] = {
        "source": path.name,
        "source_kind": "local",
        "path": str(path),
        "subset": None,
        "split": "train",
        "revision": None,
        "format": "auto",
        "columns": None,
        "template": None,
        "max_rows": None,
    }
    return LoadDatasetRequest(**{**defaults, **arguments})


def write_jsonl(path: Path, rows: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path

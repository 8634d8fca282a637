"""Files to read, and what reading them gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.unit.data.inputs import request_for
from tunesmith.data.reading.source_row import SourceRow
from tunesmith.data.reading.sources import open_source


def read(path: Path, **arguments: Any) -> list[SourceRow]:
    """All rows of all parts."""
    return [row for part in open_source(request_for(path, **arguments)).parts for row in part.rows()]


def values(rows: list[SourceRow]) -> list[dict[str, Any]]:
    return [row.values for row in rows if row.problem is None]


def problems(rows: list[SourceRow]) -> list[tuple[int, str]]:
    return [(row.number, row.problem) for row in rows if row.problem is not None]


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path

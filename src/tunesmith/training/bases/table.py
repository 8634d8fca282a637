"""The table of well-known base models that is there without a network (table.json; see refresh.py)."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tunesmith.schemas.base import Document
from tunesmith.training.bases.candidate import Candidate
from tunesmith.training.bases.shape import Shape

TABLE = Path(__file__).with_name("table.json")


class Entry(Document):
    """One line of the table. `parameters` is the published count of distinct weights; `shape` explains it."""

    id: str
    family: str
    parameters: int
    context: int
    license: str
    gated: bool
    chat_template: bool | None
    shape: dict[str, Any]

    @property
    def candidate(self) -> Candidate:
        return Candidate(
            id=self.id,
            family=self.family,
            source="table",
            parameters=self.parameters,
            context=self.context,
            shape=Shape(**self.shape),
            license=self.license,
            gated=self.gated,
            chat_template=self.chat_template,
        )


class Table(Document):
    """The models, when this was written, and from what."""

    date: str
    source: str
    models: list[Entry]


def read_table(path: Path = TABLE) -> Table:
    """The table as it was shipped, or as somebody has refreshed it."""
    return Table.model_validate_json(path.read_bytes())


def write_table(table: Table, path: Path = TABLE) -> None:
    """Write it with a line for each model, so that a refresh shows as a difference of lines."""
    head = json.dumps(table.model_dump(mode="json", exclude={"models"}), indent=1).removesuffix("\n}")
    lines = ",\n".join(f"  {json.dumps(model.model_dump(mode='json'))}" for model in table.models)
    path.write_text(f'{head},\n "models": [\n{lines}\n ]\n}}\n', encoding="utf-8")


def entry_of(candidate: Candidate) -> Entry | None:
    """A line for the table; None where something is missing that the table wants to know."""
    known = (candidate.parameters, candidate.context, candidate.shape, candidate.gated)
    if any(value is None for value in known) or candidate.shape is None:
        return None
    return Entry(
        id=candidate.id,
        family=candidate.family,
        parameters=candidate.parameters or 0,
        context=candidate.context or 0,
        license=candidate.license or "unknown",
        gated=bool(candidate.gated),
        chat_template=candidate.chat_template,
        shape=asdict(candidate.shape),
    )

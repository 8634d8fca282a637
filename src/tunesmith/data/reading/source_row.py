"""A row as it stands in a source."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class JsonNumber(str):
    """A JSON number that is no integer, in the spelling of the source: 1.50 stays `1.50`, 1e400 does not overflow."""

    __slots__ = ()


@dataclass(slots=True)
class SourceRow:
    """A row as it stands in the source. `problem` says why it could not be read; it has no values then.

    `notes` are remarks on a row that was read, for the quality report.
    """

    number: int
    values: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None
    notes: tuple[str, ...] = ()

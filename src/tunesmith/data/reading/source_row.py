"""A row as it stands in a source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec


class JsonNumber(str):
    """A JSON number that is no integer, in the spelling of the source: 1.50 stays `1.50`, 1e400 does not overflow."""

    __slots__ = ()


class SourceRow(
    msgspec.Struct, gc=False
):  # made several times as fast as a dataclass, and there are millions
    """A row as it stands in the source. `problem` says why it could not be read; it has no values then.

    `notes` are remarks on a row that was read, for the quality report.
    """

    number: int
    values: dict[str, Any] = msgspec.field(default_factory=dict)
    problem: str | None = None
    notes: tuple[str, ...] = ()


class SourceBlock(msgspec.Struct, gc=False):
    """Some source rows behind one another, each of them sound and without remarks; at least one."""

    first: int
    values: list[dict[str, Any]]

    def rows(self) -> Iterator[SourceRow]:
        """The same one by one."""
        for number, values in enumerate(self.values, start=self.first):
            yield SourceRow(number, values)

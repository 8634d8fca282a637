"""What some rows of the same columns look like: the ground on which a shape is chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, time
from decimal import Decimal
from typing import Any, Literal

from tunesmith.data.reading.source_row import JsonNumber
from tunesmith.data.shaping.calls import parsed
from tunesmith.data.shaping.spellings import ROLES, plain
from tunesmith.data.shaping.texts import is_blank
from tunesmith.data.shaping.turns import looks_like_conversation

Kind = Literal["text", "number", "conversation", "strings", "list", "object", "bytes", "nothing"]

LOOKED_AT = 50
"""Rows of one set of columns to look at."""


@dataclass(frozen=True)
class View:
    """Columns in order, the kind of most of each one's values, how many values it has, and the rows."""

    columns: tuple[str, ...]
    kinds: Mapping[str, Kind]
    filled: Mapping[str, int]
    rows: Sequence[Mapping[str, Any]]

    def find(self, names: Iterable[str], *kinds: Kind, besides: Iterable[str] = ()) -> str | None:
        """The column of these kinds that bears the first of these names; one that is filled before one that is not.

        A column with values in less than half as many rows as the fullest of those so named is passed over.
        """
        wanted = kinds or ("text", "number")
        by_name = {plain(column): column for column in reversed(self.columns) if column not in besides}
        named = [by_name[name] for name in names if name in by_name]
        fitting = [column for column in named if self.kinds[column] in wanted]
        most = max((self.filled[column] for column in fitting), default=0)
        found = next((column for column in fitting if 2 * self.filled[column] >= most), None)
        return found or next((column for column in named if self.kinds[column] == "nothing"), None)

    def find_filled(self, names: Iterable[str], *kinds: Kind, besides: Iterable[str] = ()) -> str | None:
        """The same, but None where the column has no values."""
        found = self.find(names, *kinds, besides=besides)
        return found if found is not None and self.filled[found] else None

    def role(self, role: str, *kinds: Kind, besides: Iterable[str] = ()) -> str | None:
        """The column that usually plays a role."""
        return self.find(ROLES[role], *kinds, besides=besides)

    def numeric(self) -> frozenset[str]:
        """The columns that hold numbers."""
        return frozenset(column for column, kind in self.kinds.items() if kind == "number")

    def without(self, column: str) -> View:
        """The same without a column."""
        return replace(self, columns=tuple(name for name in self.columns if name != column))

    def values(self, column: str) -> list[Any]:
        """The values of a column that are not blank."""
        return [row[column] for row in self.rows if not is_blank(row.get(column))]


def view_of(rows: Sequence[Mapping[str, Any]], columns: Iterable[str] | None = None) -> View:
    """The view of some rows."""
    looked_at = rows[:LOOKED_AT]
    names = tuple(dict.fromkeys(columns if columns is not None else (key for row in rows for key in row)))
    kinds: dict[str, Kind] = {}
    filled: dict[str, int] = {}
    for column in names:
        counts = Counter(_kind(row[column]) for row in looked_at if not is_blank(row.get(column)))
        filled[column] = sum(counts.values())
        kinds[column] = counts.most_common(1)[0][0] if counts else "nothing"
    return View(names, kinds, filled, looked_at)


def _kind(value: Any) -> Kind:
    if isinstance(value, JsonNumber | bool | int | float | Decimal):
        return "number"
    if isinstance(value, str):
        return "conversation" if _is_written_conversation(value) else "text"
    if isinstance(value, date | time):
        return "text"
    if isinstance(value, bytes):
        return "bytes"
    if isinstance(value, list | tuple | dict) and looks_like_conversation(value):
        return "conversation"
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "strings"
    return "object" if isinstance(value, dict) else "list"


def _is_written_conversation(text: str) -> bool:
    """A transcript, or turns as JSON or as a Python literal."""
    if (
        not text.lstrip().startswith(("[", "{", "<", "#", "H", "U", "S", "A"))
        and " USER: " not in text[:2000]
    ):
        return False
    return looks_like_conversation(text) or looks_like_conversation(parsed(text))

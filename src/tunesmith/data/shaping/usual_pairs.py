"""Pairs in which nothing is odd, many at a time: most rows of a large file are such, and it is twice as fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from tunesmith.data.reading.source_row import JsonNumber, SourceBlock
from tunesmith.data.rows import SCHEMAS, RowTable, digest_of, pair_content
from tunesmith.data.shaping.texts import (
    EXTRA_CHARACTERS,
    PREFIX_STARTS,
    begins_with_role,
    extras_of,
    spells_control_tokens,
)
from tunesmith.data.templates import instruction_prompt

_NUL, _ANGLE, _BRACKET = b"\0<["


class UsualPairs:
    """Reads blocks of rows of one plain `PairShape`, to the same as the shape does row by row."""

    def __init__(
        self, roles: Mapping[str, str], columns: Sequence[str], extras: Sequence[tuple[str, str]]
    ) -> None:
        """`roles`: role -> column. `extras`: columns that play no part, with the names they are stored under."""
        self._wraps = "instruction" in roles
        self._asked = roles["instruction" if self._wraps else "prompt"]
        self._given = roles.get("input")
        self._learned = roles["response" if "response" in roles else "completion"]
        self._columns = frozenset(columns)
        self._extras = tuple(extras)
        # Numbers need no escaping, so that one form serves all rows.
        names = ",".join(
            msgspec.json.encode(name).decode().replace("%", "%%") + ':"%s"' for _, name in self._extras
        )
        self._numbers_form = f"{{{names}}}"

    def read(self, block: SourceBlock) -> RowTable | None:
        """The block's rows; None where one of them has other columns, or something to remark on."""
        rows = block.values
        try:
            cells = {column: [row[column] for row in rows] for column in self._columns}
        except KeyError:
            return None
        if set(map(len, rows)) != {len(cells)}:
            return None
        asked, learned = cells[self._asked], cells[self._learned]
        added = [None] * len(rows) if self._given is None else cells[self._given]
        given = ["" if cell is None else cell for cell in added]
        if not (_begin_usually(asked, "user") and _begin_usually(learned, "assistant") and _are_texts(given)):
            return None
        prompts = list(map(instruction_prompt, asked, given)) if self._wraps else asked
        try:
            stored = pa.array(prompts, pa.string()), pa.array(learned, pa.string())
        except (UnicodeEncodeError, pa.ArrowException):  # lone surrogates, more than an array can hold
            return None
        # Each cell is judged by itself, as the shape does: what begins a cell does not begin a prompt around it.
        if not (_is_plain(stored[0], asked, given) and _is_plain(stored[1], learned)):
            return None
        numbers = np.arange(block.first, block.first + len(rows))
        table = pa.Table.from_arrays(
            [
                pa.array(numbers),
                *stored,
                pa.nulls(len(rows), pa.string()),
                pa.array(self._extras_of(cells, rows), pa.string()),
                pa.nulls(len(rows), pa.list_(pa.string())),
            ],
            schema=SCHEMAS["prompt_completion"],
        )
        return RowTable(table, list(map(digest_of, map(pair_content, prompts, learned))))

    def _extras_of(
        self, cells: Mapping[str, list[Any]], rows: Sequence[Mapping[str, Any]]
    ) -> Sequence[str | None]:
        if not self._extras:
            return [None] * len(rows)
        columns = [cells[column] for column, _ in self._extras]
        if all(set(map(type, column)) <= {int, JsonNumber} for column in columns):
            texts = [list(map(str, column)) for column in columns]
            if max(len(text) for column in texts for text in column) <= EXTRA_CHARACTERS:
                return [self._numbers_form % numbers for numbers in zip(*texts, strict=True)]
        found = (extras_of(row, self._extras) for row in rows)
        return [msgspec.json.encode(extras).decode() if extras else None for extras in found]


def _are_texts(cells: Sequence[Any]) -> bool:
    return set(map(type, cells)) == {str}


def _begin_usually(cells: Sequence[Any], speaker: str) -> bool:
    """Whether all are texts, none is blank, and none names its own speaker first."""
    return _are_texts(cells) and not any(
        not cell or cell.isspace() or (cell[0] in PREFIX_STARTS and begins_with_role(cell, speaker))
        for cell in cells
    )


def _is_plain(array: Any, *cells: Sequence[str]) -> bool:
    """Whether no text of an Arrow array holds NUL, and none of the `cells` it is made of spells a control token."""
    _, offsets, data = array.buffers()
    starts = np.frombuffer(offsets, np.int32)[: len(array) + 1]
    content = np.frombuffer(data, np.uint8)[: starts[-1]]
    if (content == _NUL).any():
        return False
    marked = np.flatnonzero((content == _ANGLE) | (content == _BRACKET))
    texts = np.unique(np.searchsorted(starts, marked, side="right") - 1)
    return not any(spells_control_tokens(column[at]) for at in texts.tolist() for column in cells)

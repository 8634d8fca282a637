"""Short ways to read rows in tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunesmith.data.quality.catalogue import CHECK_OF_KIND
from tunesmith.data.reading.source_row import SourceRow
from tunesmith.data.rows import Row
from tunesmith.data.shaping.layouts import Layouts, find_layouts
from tunesmith.data.shaping.texts import Unfit

USER = {"role": "user", "content": "Who are you?"}
ASSISTANT = {"role": "assistant", "content": "A model."}


def layouts(*sample: Mapping[str, Any], **arguments: Any) -> Layouts:
    return find_layouts(list(sample), "data.jsonl", **arguments)


def shaped(layout: Layouts, **values: Any) -> Row:
    row = layout.convert(SourceRow(1, values))
    assert set(row.notes) <= CHECK_OF_KIND.keys()
    return row


def alone(**values: Any) -> Row:
    """The row of a source that has only rows like this one."""
    return shaped(layouts(values, values, values), **values)


def turns(row: Row) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in row.messages]


def reason(layout: Layouts, **values: Any) -> str:
    """Why the row cannot be used."""
    try:
        layout.convert(SourceRow(1, values))
    except Unfit as unfit:
        return unfit.reason
    raise AssertionError("the row can be used")

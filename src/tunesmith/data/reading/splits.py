"""Split expressions: the name of a split, perhaps with a stretch of its rows."""

from __future__ import annotations

import re

from tunesmith.schemas.errors import InvalidArgument

_PLAIN = re.compile(r"(?P<name>\w+)(\[:(?P<rows>[\d_]+)\])?")


def local_split(split: str) -> tuple[str, int | None]:
    """The name of a local source's split and how many of its first rows are wanted (None: all).

    Percentages and later starts need the number of rows before the first is read, which files of text do not tell.

    Raises:
        InvalidArgument: anything but `name` or `name[:rows]`.
    """
    found = _PLAIN.fullmatch(split)
    if found is None or (found["rows"] is not None and int(found["rows"]) == 0):
        raise InvalidArgument(
            f"split={split[:80]!r} cannot be used with a local source.",
            "Give a split's name, or its first rows as in train[:1000]; or use max_rows.",
        )
    return found["name"], None if found["rows"] is None else int(found["rows"])

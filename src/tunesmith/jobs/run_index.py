"""The index of finished runs: what ten thousand of them came to, without reading ten thousand journals.

A row is believed while size and time of change of the run's journal, request and plan are those that it was made from.
Runs that have not finished are never in it: their state hangs on more than these files. The index is derived
(jobs/derived.py): without it each run is read.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

from tunesmith.jobs.derived import read_derived, write_derived
from tunesmith.jobs.paths import HandlePaths, Store
from tunesmith.schemas.enums import Work
from tunesmith.schemas.runs import RunSummary

Row = dict[str, Any]
"""A RunSummary as JSON; ten thousand objects would take longer to make than to select from."""
Seen = str
"""Sizes in bytes and times of change in ns of the files that a row was made from."""

WORTH_WRITING = 16
"""So many runs may be read again by each process before the index is written anew: some milliseconds."""
_FORM = "runs 1: " + " ".join(RunSummary.model_fields)
"""The number goes up when the same run comes to be summed up otherwise."""


class RunIndex:
    """The store's index as it was when it was opened, and what is added to it."""

    def __init__(self, store: Store) -> None:
        self._path = store.run_index
        self._runs = str(store.folder_of(Work.TRAIN))
        template = HandlePaths(Path())
        self._names = [path.name for path in (template.journal, template.request, template.plan)]
        self._rows: dict[str, tuple[Seen, Row]] = read_derived(self._path, _FORM) or {}
        self._added = 0

    def look(self, handle: str) -> Seen | None:
        """How the run's files are now, for `find` and `add`; None when one is missing."""
        seen = ""
        try:
            for name in self._names:
                status = os.stat(f"{self._runs}/{handle}/{name}")  # noqa: PTH116 - making a Path takes longer
                seen += f"{status.st_size} {status.st_mtime_ns} "
        except OSError:
            return None
        return seen

    def find(self, handle: str, seen: Seen | None) -> Row | None:
        """The row that was made from the files as they were `seen`."""
        kept = self._rows.get(handle)
        return kept[1] if kept is not None and kept[0] == seen else None

    def add(self, handle: str, seen: Seen | None, row: Row) -> None:
        """Take a finished run's row, made from its files after they were `seen`."""
        if seen is not None:
            self._rows[handle] = (seen, row)
            self._added += 1

    def keep(self, handles: Collection[str]) -> None:
        """Write the index, without runs other than `handles`, where that saves more than it takes."""
        if self._added + len(self._rows) - len(handles) < WORTH_WRITING:
            return
        with suppress(OSError):
            self._path.parent.mkdir(exist_ok=True)
            there = set(handles)
            rows = {handle: kept for handle, kept in self._rows.items() if handle in there}
            write_derived(self._path, _FORM, rows)

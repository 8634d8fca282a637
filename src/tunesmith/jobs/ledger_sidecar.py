"""A journal's ledger, kept beside it: a journal of a million lines is read once and not by each process again.

The sidecar holds the ledger of the journal's first `position` bytes and a checksum of the last of them. A journal that
was cut or replaced since does not match it, and is read from its beginning. It is derived (jobs/derived.py): the
journal alone is the truth.
"""

from __future__ import annotations

import hashlib
from dataclasses import fields
from pathlib import Path
from typing import Any

from tunesmith.jobs.derived import read_derived, write_derived
from tunesmith.jobs.journal import JournalReader
from tunesmith.jobs.paths import HandlePaths
from tunesmith.jobs.series import Series
from tunesmith.jobs.state import Ledger

WORTH_KEEPING_BYTES = 256 * 1024
"""So much of a journal may be read again by each process: about a thousand lines, some milliseconds."""
_CHECKED_BYTES = 4096
_SERIES = ("curve", "rates", "speeds", "gradients")
_FORM = "ledger 1: " + " ".join(part.name for kind in (Ledger, Series) for part in fields(kind))
"""The number goes up when the same events come to add up to something else."""


class FollowedLedger:
    """The ledger of one journal, brought up to date by each `refresh` at the price of what is new.

    Whoever has read much writes the sidecar: the job at its commits, and any process that looks. Not for two threads
    at a time.
    """

    def __init__(self, paths: HandlePaths) -> None:
        self._paths = paths
        self._told: Ledger | None = None
        self._begin()

    def refresh(self) -> Ledger:
        """What the journal's events add up to now: a ledger that no later refresh changes."""
        if self._reader.was_replaced():
            self._begin()
        for event in self._reader.new_events():
            self._ledger.add(event)
            self._told = None
        if self._reader.position - self._kept_at >= WORTH_KEEPING_BYTES:
            self._keep()
        if self._told is None:
            self._told = self._ledger.copy()
        return self._told

    def _begin(self) -> None:
        self._kept_at, self._ledger = _read(self._paths) or (0, Ledger())
        self._told = None
        self._reader = JournalReader(self._paths.journal, self._kept_at)

    def _keep(self) -> None:
        self._kept_at = self._reader.position
        check = _check(self._paths.journal, self._kept_at)
        if check is not None:
            value = {"position": self._kept_at, "check": check, "ledger": _as_json(self._ledger)}
            write_derived(self._paths.ledger, _FORM, value)


def _read(paths: HandlePaths) -> tuple[int, Ledger] | None:
    """How many bytes of the journal the sidecar covers, and their ledger; None when it is of no use."""
    kept = read_derived(paths.ledger, _FORM)
    if kept is None or kept["check"] != _check(paths.journal, kept["position"]):
        return None
    return kept["position"], _from_json(kept["ledger"])


def _check(journal: Path, position: int) -> str | None:
    """A checksum of the last bytes before `position`; None when there are not that many."""
    start = max(0, position - _CHECKED_BYTES)
    try:
        with journal.open("rb") as file:
            file.seek(start)
            last = file.read(position - start)
    except OSError:
        return None
    return hashlib.sha256(last).hexdigest() if len(last) == position - start else None


def _as_json(ledger: Ledger) -> dict[str, Any]:
    return {**vars(ledger), **{name: vars(getattr(ledger, name)) for name in _SERIES}}


def _from_json(value: dict[str, Any]) -> Ledger:
    series = {name: _series(value[name]) for name in _SERIES}
    pairs = {name: [tuple(item) for item in value[name]] for name in ("evaluations", "resumes")}
    return Ledger(**{**value, **series, **pairs})


def _series(value: dict[str, Any]) -> Series:
    return Series(
        value["stride"], *([tuple(item) for item in value[part]] for part in ("head", "merged", "recent"))
    )

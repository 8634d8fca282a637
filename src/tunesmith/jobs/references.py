"""Which runs other work needs."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from tunesmith.jobs.folders import handles_in
from tunesmith.jobs.snapshot import Observer
from tunesmith.schemas.enums import Work
from tunesmith.schemas.errors import UnknownHandle

_RUN = re.compile(rb"run-[a-z2-7]{16}")
_READERS = (Work.EVALUATE, Work.GENERATE, Work.COMPARE, Work.PUSH)
"""Work that reads a run's adapter while it is at it."""


@dataclass
class References:
    """Finds them by the handles in requests and plans, which never change and are read once."""

    observer: Observer
    _named: dict[str, frozenset[str]] = field(default_factory=dict)

    def why_needed(self, run: str) -> str | None:
        """Why the run has to stay: another run begins with it, or work that is under way reads it. Otherwise None."""
        for handle in handles_in(self.observer.store, Work.TRAIN):
            if handle != run and run in self._named_by(handle):
                return f"{handle} goes on from it"
        for work in _READERS:
            for handle in handles_in(self.observer.store, work):
                if run in self._named_by(handle) and self._may_be_at_work(handle):
                    return f"{handle} is at work with it"
        return None

    def _named_by(self, handle: str) -> frozenset[str]:
        if handle not in self._named:
            paths = self.observer.store.handle(handle)
            self._named[handle] = _runs_in(paths.request) | _runs_in(paths.plan)
        return self._named[handle]

    def _may_be_at_work(self, handle: str) -> bool:
        try:
            return self.observer.look(handle).state.is_active
        except UnknownHandle:
            return False


def _runs_in(path: Path) -> frozenset[str]:
    try:
        return frozenset(name.decode() for name in _RUN.findall(path.read_bytes()))
    except OSError:
        return frozenset()

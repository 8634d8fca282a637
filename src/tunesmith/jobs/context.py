"""What a job function is given: its files, its request, a way to tell news and to hear a stop."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tunesmith.jobs.files import read_document
from tunesmith.jobs.journal import Journal
from tunesmith.jobs.lease import Lease
from tunesmith.jobs.paths import HandlePaths, Store
from tunesmith.schemas.base import Document
from tunesmith.schemas.errors import NotReady

_DocumentT = TypeVar("_DocumentT", bound=Document)


@dataclass(frozen=True)
class JobContext:
    """The surroundings of one attempt at some work."""

    store: Store
    paths: HandlePaths
    journal: Journal
    lease: Lease | None = None
    terminated: threading.Event = field(default_factory=threading.Event)
    """Set by SIGTERM."""

    @property
    def handle(self) -> str:
        return self.paths.handle

    @property
    def attempt(self) -> int:
        return self.journal.attempt

    @property
    def scratch(self) -> Path:
        """Where this attempt makes things: a stale one must not write into what a newer one is making."""
        return self.paths.scratch / str(self.attempt)

    def request(self, model: type[_DocumentT]) -> _DocumentT:
        """The request that the caller's tool stored."""
        document = read_document(self.paths.request, model)
        if document is None:
            raise NotReady(f"The request of {self.handle} cannot be read.", "Make the call again.")
        return document

    def phase(self, phase: str) -> None:
        """Tell what the job is busy with, in a few words."""
        self.journal.append("phase", phase=phase)

    def progress(self, step: int, total_steps: int, **figures: Any) -> None:
        """Tell how far it is."""
        self.journal.append("progress", step=step, total_steps=total_steps, **figures)

    def stop_requested(self) -> bool:
        """Whether somebody called stop_training, or the process got SIGTERM."""
        return self.terminated.is_set() or self.paths.stop(self.attempt).exists() or self._is_superseded()

    def check_current(self) -> None:
        """To be called right before something is committed that others will count.

        Raises:
            Superseded: a newer attempt was asked for, or this process has lost its lease.
        """
        if self._is_superseded():
            raise Superseded(f"{self.handle}: attempt {self.attempt} is not the newest any more")

    def _is_superseded(self) -> bool:
        lost = self.lease is not None and not self.lease.is_held()
        return lost or self.paths.attempt(self.attempt + 1).exists()


class Superseded(BaseException):
    """This attempt was given up by everybody else; whatever it still writes must not count.

    No Exception: no handler of failures may take it for one.
    """


class Stopped(Exception):
    """Raised by a job function that ended early because it was asked to, with everything saved."""

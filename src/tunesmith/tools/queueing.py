"""How long queued trainings will wait."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from tunesmith.jobs.files import read_document
from tunesmith.jobs.queue import Queue
from tunesmith.jobs.snapshot import Snapshot
from tunesmith.schemas.enums import RunState, Work
from tunesmith.schemas.errors import UnknownHandle
from tunesmith.schemas.handles import work_of
from tunesmith.schemas.plans import Plan
from tunesmith.tools.wording import seconds
from tunesmith.tools.workspace import Workspace

_ORDINALS = ("next", "second", "third", "fourth", "fifth")


@dataclass(frozen=True)
class Place:
    """A place in the queue: 1 is the next to start. `starts_in_s` is None where something ahead has no estimate."""

    position: int
    starts_in_s: float | None

    @property
    def in_words(self) -> str:
        """`second in line, starts in about 12 min`."""
        ordinal = _ORDINALS[self.position - 1] if self.position <= len(_ORDINALS) else f"{self.position}th"
        if self.starts_in_s is None:
            return f"{ordinal} in line"
        return f"{ordinal} in line, starts in about {seconds(self.starts_in_s)}"


def place_of(workspace: Workspace, handle: str) -> Place | None:
    """Where a queued training stands; None when it is not waiting in the queue."""
    running: list[float | None] = []
    ahead: list[float | None] = []
    for other in Queue(workspace.store).handles():
        if work_of(other) is not Work.TRAIN:
            continue
        try:
            snapshot = workspace.observer.look(other)
        except UnknownHandle:
            continue
        if snapshot.state is not RunState.QUEUED:
            if snapshot.state.is_active:
                running.append(_left_s(snapshot))
        elif other == handle:
            return Place(len(ahead) + 1, _starts_in_s(running, ahead))
        else:
            ahead.append(_planned_s(snapshot))
    return None


def _starts_in_s(running: list[float | None], ahead: list[float | None]) -> float | None:
    """When the last of those ahead has started and one more ends, if as many go on running side by side as now."""
    if not running:
        return (
            0.0 if not ahead else None
        )  # nothing has begun yet: how many will run side by side is the host's to say
    known = [left for left in running if left is not None]
    waiting = [planned for planned in ahead if planned is not None]
    if len(known) < len(running) or len(waiting) < len(ahead):
        return None
    heapq.heapify(known)
    for planned in waiting:
        heapq.heapreplace(known, known[0] + planned)
    return known[0]


def _left_s(snapshot: Snapshot) -> float | None:
    eta_s = snapshot.ledger.progress.get("eta_s")
    return float(eta_s) if isinstance(eta_s, (int, float)) else _planned_s(snapshot)


def _planned_s(snapshot: Snapshot) -> float | None:
    plan = read_document(snapshot.paths.plan, Plan)
    return None if plan is None else plan.estimated_seconds

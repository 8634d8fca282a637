"""A consistent look at one handle: its state, its figures and its error."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from tunesmith.jobs import clock, lease
from tunesmith.jobs.lease import Liveness
from tunesmith.jobs.ledger_sidecar import FollowedLedger
from tunesmith.jobs.liveness import judge
from tunesmith.jobs.paths import HandlePaths, Store
from tunesmith.jobs.state import Ledger, Surroundings, derive_state, interruption, killed_for_memory
from tunesmith.schemas.enums import RunState, Work
from tunesmith.schemas.errors import UnknownHandle
from tunesmith.schemas.handles import MADE_BY_PREFIX, NOUN_OF_PREFIX, work_of
from tunesmith.schemas.runs import ErrorReport

_KEPT_JOURNALS = 256


@dataclass(frozen=True)
class Snapshot:
    """How some work stood when it was looked at."""

    paths: HandlePaths
    state: RunState
    ledger: Ledger
    error: ErrorReport | None
    doubt: str = ""
    """Why it is not known whether the work's process lives; empty where that is known."""

    @property
    def handle(self) -> str:
        return self.paths.handle


class Observer:
    """Looks at handles of one store. It keeps what it read of each journal, so that looking again costs one stat."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._kept: OrderedDict[str, FollowedLedger] = OrderedDict()
        self._lock = threading.Lock()  # tools look from the event loop and from worker threads

    def look(self, handle: str) -> Snapshot:
        """The handle's snapshot.

        Raises:
            UnknownHandle: this store has no such handle.
        """
        paths = self.store.handle(handle)
        if not paths.request.exists():
            raise unknown_handle(handle)
        while True:
            # The lease is read before the journal: a process that finishes in between is then seen as finished, and
            # not as gone without a word. One that began in between would be seen as gone, so then both are read anew.
            known = self._ledger(paths).worker
            held = lease.look(paths.lease)
            host_pid = lease.holder(self.store.host_lease)
            ledger = self._ledger(paths)
            if held.liveness is not Liveness.DEAD or ledger.worker == known:
                break
        liveness, why = judge(held, ledger.worker, paths.lease)
        around = Surroundings(
            liveness=liveness,
            was_begun=not held.missing,
            host_pid=host_pid,
            stop_requested=paths.stop(max(1, ledger.attempt)).exists(),
            boot_s=clock.boot_s(),
        )
        state = derive_state(ledger, around)
        return Snapshot(paths, state, ledger, _error(handle, state, ledger), why if state.is_active else "")

    def _ledger(self, paths: HandlePaths) -> Ledger:
        with self._lock:
            followed = self._kept.get(paths.handle)
            if followed is None:
                followed = self._kept[paths.handle] = FollowedLedger(paths)
                if len(self._kept) > _KEPT_JOURNALS:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(paths.handle)
            return followed.refresh()


def unknown_handle(handle: str) -> UnknownHandle:
    """The error for a well-formed handle that this store does not have."""
    prefix = handle.partition("-")[0]
    recovery = f"Check the handle, or call {MADE_BY_PREFIX[prefix]} to make a new {NOUN_OF_PREFIX[prefix]}."
    if prefix == "run":
        recovery = "Call list_runs to see the runs there are."
    return UnknownHandle(f"There is no {NOUN_OF_PREFIX[prefix]} {handle} in this store.", recovery)


def _error(handle: str, state: RunState, ledger: Ledger) -> ErrorReport | None:
    if state is RunState.INTERRUPTED:
        return interruption(ledger, handle, resumable=work_of(handle) is Work.TRAIN)
    if state is RunState.FAILED and ledger.error is not None:
        return ErrorReport.model_validate(ledger.error)
    return killed_for_memory(ledger, handle) if state is RunState.FAILED and ledger.oom_kills else None

"""A consistent look at one handle: its state, its figures and its error."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass

from tunesmith.jobs import clock, lease
from tunesmith.jobs.journal import JournalReader
from tunesmith.jobs.paths import HandlePaths, Store
from tunesmith.jobs.state import Ledger, Surroundings, derive_state, interruption
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

    @property
    def handle(self) -> str:
        return self.paths.handle


class Observer:
    """Looks at handles of one store. It keeps what it read of each journal, so that looking again costs one stat."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._kept: OrderedDict[str, tuple[JournalReader, Ledger]] = OrderedDict()
        self._lock = threading.Lock()  # tools look from the event loop and from worker threads

    def look(self, handle: str) -> Snapshot:
        """The handle's snapshot.

        Raises:
            UnknownHandle: this store has no such handle.
        """
        paths = self.store.handle(handle)
        if not paths.request.exists():
            raise unknown_handle(handle)
        # The lease is read before the journal: a process that finishes in between is then seen as finished, and not
        # as gone without a word.
        around = Surroundings(
            lease_held=lease.holder(paths.lease) is not None,
            host_pid=lease.holder(self.store.host_lease),
            stop_requested=paths.stop.exists(),
            boot_s=clock.boot_s(),
        )
        ledger = self._ledger(paths)
        state = derive_state(ledger, around)
        return Snapshot(paths, state, ledger, _error(handle, state, ledger))

    def _ledger(self, paths: HandlePaths) -> Ledger:
        with self._lock:
            reader, ledger = self._kept.get(paths.handle) or (JournalReader(paths.journal), Ledger())
            if reader.was_replaced():
                reader, ledger = JournalReader(paths.journal), Ledger()
            for event in reader.read_new():
                ledger.add(event)
            self._kept[paths.handle] = (reader, ledger)
            self._kept.move_to_end(paths.handle)
            if len(self._kept) > _KEPT_JOURNALS:
                self._kept.popitem(last=False)
            return ledger


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
    return None

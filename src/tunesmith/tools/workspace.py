"""What every tool is given: the store, the executor, and a way to tell that it is still waiting."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import anyio

from tunesmith.jobs import clock
from tunesmith.jobs.executor import LocalExecutor
from tunesmith.jobs.files import read_document
from tunesmith.jobs.paths import Store
from tunesmith.jobs.snapshot import Observer, Snapshot
from tunesmith.schemas.base import Document
from tunesmith.schemas.enums import RunState
from tunesmith.schemas.errors import NotReady, WorkFailed, error_of
from tunesmith.schemas.handles import NOUN_OF_PREFIX, require_handle
from tunesmith.tools.asking import Person

ANSWER_S = 9.0
"""Every call answers within 10 s; work that takes longer goes on and is asked for by its handle."""
_FIRST_POLL_S = 0.02
_LONGEST_POLL_S = 0.2
_REPORT_EVERY_S = 1.0
_SMALLEST_PROGRESS = 0.001

Report = Callable[[float, float | None, str], Awaitable[None]]
"""Tells the client how far a call is: progress, total, message."""


async def report_to_nobody(progress: float, total: float | None, message: str) -> None:
    """For callers without a client that wants to hear of progress."""


_DocumentT = TypeVar("_DocumentT", bound=Document)


@dataclass(frozen=True)
class Workspace:
    """One store as seen by one call."""

    store: Store
    executor: LocalExecutor
    observer: Observer
    report: Report
    person: Person | None = None
    """Who may be asked in the middle of a call, where the client has a way to ask."""
    client: str | None = None
    """What the client calls itself."""

    async def run(self, handle: str, request: Document, *, direct: bool = False) -> Snapshot:
        """Submit work and wait for it as long as a call may take.

        `direct` work runs with the server's own environment (see LocalExecutor.submit_direct).

        Raises:
            TunesmithError: the work failed; its handle, which nobody has seen yet, is gone again.
        """
        submit = self.executor.submit_direct if direct else self.executor.submit
        await anyio.to_thread.run_sync(submit, handle, request)
        snapshot = await self.wait(handle, ANSWER_S, until=lambda now: not now.state.is_active)
        if snapshot.error is not None:
            if snapshot.error.code != "internal":  # the log of a bug is kept
                await self._discard(snapshot)
            raise error_of(snapshot.error.code, snapshot.error.message, snapshot.error.recovery)
        return snapshot

    async def wait(self, handle: str, limit_s: float, until: Callable[[Snapshot], bool]) -> Snapshot:
        """Look at the handle until `until` holds or the time is up, reporting progress about once a second."""
        deadline = clock.boot_s() + limit_s
        reported = clock.boot_s()
        pause_s = _FIRST_POLL_S
        told = 0.0
        while True:
            snapshot = self.observer.look(handle)
            now = clock.boot_s()
            if until(snapshot) or now >= deadline:
                return snapshot
            if now - reported >= _REPORT_EVERY_S:
                reported = now
                told = await self._report(snapshot, told)
            await anyio.sleep(min(pause_s, max(0.0, deadline - now)))
            pause_s = min(pause_s * 1.5, _LONGEST_POLL_S)

    async def _report(self, snapshot: Snapshot, told: float) -> float:
        """Report once; returns the progress told, which the protocol wants to grow from one report to the next."""
        figures = snapshot.ledger.progress
        step, total = figures.get("step"), figures.get("total_steps")
        message = snapshot.ledger.phase or snapshot.state.value
        if isinstance(step, int):
            loss = figures.get("loss")
            message += f": {step} of {total}" + (f", loss {loss:.3f}" if isinstance(loss, float) else "")
        progress = max(float(step or 0), told + _SMALLEST_PROGRESS)
        await self.report(progress, total, message)
        return progress

    def result(self, handle: str, prefix: str, parameter: str, model: type[_DocumentT]) -> _DocumentT:
        """What a finished handle's work left.

        Raises:
            InvalidArgument: not such a handle.
            UnknownHandle: this store does not have it.
            NotReady, WorkFailed: it has no result (yet).
        """
        require_handle(handle, prefix, parameter)
        snapshot = self.observer.look(handle)
        noun = NOUN_OF_PREFIX[prefix]
        if snapshot.state.is_active:
            raise NotReady(
                f"The {noun} {handle} is still being made ({snapshot.state.value}).",
                f'Call get_status with run_id="{handle}" and wait_s=30, then make this call again.',
            )
        document = read_document(snapshot.paths.result, model)
        if snapshot.state is not RunState.SUCCEEDED or document is None:
            raise WorkFailed(
                f"The {noun} {handle} was not made ({snapshot.state.value}).",
                f'Call get_status with run_id="{handle}" to see why, then make a new {noun}.',
            )
        return document

    async def _discard(self, snapshot: Snapshot) -> None:
        """Remove what failed work left behind, once its process is gone."""
        marker = self.store.queued(snapshot.handle)
        with anyio.move_on_after(2):
            while marker.exists():
                await anyio.sleep(_FIRST_POLL_S)
        await anyio.to_thread.run_sync(lambda: shutil.rmtree(snapshot.paths.folder, ignore_errors=True))

"""Removing what a store no longer needs.

What goes is first renamed to `.pruned-…` beside where it was, durably, and then deleted: nobody sees half of a run, and
what a killed pruner leaves is found by the next one. Whatever belongs to a handle is removed under the handle's lease,
so that an attempt which begins meanwhile meets a held lease. Links are never followed.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tunesmith.jobs import clock
from tunesmith.jobs.disk import use_of
from tunesmith.jobs.files import read_document, rename_durably
from tunesmith.jobs.folders import handles_in, is_file, is_folder, listed
from tunesmith.jobs.lease import Lease, Liveness, look
from tunesmith.jobs.paths import HandlePaths, Store
from tunesmith.jobs.references import References
from tunesmith.jobs.snapshot import Observer, unknown_handle
from tunesmith.schemas.enums import RunState, Work
from tunesmith.schemas.errors import InvalidArgument, UnknownHandle
from tunesmith.schemas.handles import PREFIX_OF_WORK, is_handle
from tunesmith.schemas.plans import Plan
from tunesmith.schemas.runs import TrainRequest

UNTOUCHED_S = 3600.0
"""What has no lease to tell whether its maker lives (a folder on its way in, a temporary file) is left alone for an
hour after its last change; making one takes seconds."""
_DOOMED = ".pruned-"
_BEING_MADE = ".new-"
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
_REST = "rest of an earlier prune"


@dataclass(frozen=True)
class Selection:
    """Which whole runs: those that every given criterion fits."""

    handles: frozenset[str] = frozenset()
    states: frozenset[RunState] = frozenset()
    unchanged_for_s: float | None = None


@dataclass(frozen=True)
class Item:
    """Something that can go. `handle` names the work whose lease has to be held meanwhile."""

    path: Path
    what: str
    handle: str | None
    freed_bytes: int


@dataclass(frozen=True)
class Proposal:
    """What can go, and which runs stay although they were meant (run: why)."""

    items: list[Item] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)

    @property
    def freed_bytes(self) -> int:
        """What all of it gives back together."""
        return use_of(item.path for item in self.items).freed_bytes


class Kept(Exception):
    """Something stays where it is; the text says why."""


class Pruner:
    """Proposes what can go from one store, and removes it. Only `remove` changes anything."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._store = observer.store
        self._references = References(observer)

    def propose_spare(self) -> Proposal:
        """What nobody misses: checkpoints of succeeded runs that keep their adapter, and what crashes have left."""
        proposal = Proposal()
        proposal.items.extend(_abandoned(self._store))
        for work in Work:
            for handle in handles_in(self._store, work):
                proposal.items.extend(self._leftovers(handle))
        for handle in handles_in(self._store, Work.TRAIN):
            checkpoints = self._store.handle(handle).checkpoints
            if not listed(checkpoints):
                continue
            try:
                self._require_spare_checkpoints(handle)
            except Kept:
                continue
            if (why := self._references.why_needed(handle)) is None:
                proposal.items.append(_item(checkpoints, "checkpoints", handle))
            else:
                proposal.kept[handle] = why
        return proposal

    def propose_runs(self, selected: Selection) -> Proposal:
        """The selected runs as a whole, adapters included.

        Raises:
            InvalidArgument, UnknownHandle: the selection names what is no run of this store.
        """
        runs = handles_in(self._store, Work.TRAIN)
        for handle in sorted(selected.handles):
            if not is_handle(handle, "run"):
                raise InvalidArgument(
                    f"{handle} is not a run's handle.", "Name runs as tunesmith runs lists them."
                )
            if handle not in runs:
                raise unknown_handle(handle)
        proposal = Proposal()
        for handle in sorted(selected.handles or runs):
            if not self._fits(handle, selected):
                continue
            try:
                self._require_ended(handle, named=handle in selected.handles)
                self._require_unneeded(handle)
            except Kept as why:
                proposal.kept[handle] = str(why)
            else:
                proposal.items.append(_item(self._store.handle(handle).folder, "run", handle))
        return proposal

    def remove(self, item: Item) -> None:
        """Remove it, unless that has become wrong since it was proposed.

        Raises:
            Kept: it stays.
            OSError: the disk refused; what was begun is proposed again as the rest of a prune.
        """
        if item.handle is None:
            if not _is_abandoned(item.path):
                raise Kept("somebody is writing it")
            _delete(item.path)
            return
        lease = self._lease(item, item.handle)
        try:
            _delete(item.path)
        finally:
            lease.release()

    def _fits(self, handle: str, selected: Selection) -> bool:
        paths = self._store.handle(handle)
        if selected.unchanged_for_s is not None:
            news = paths.journal if is_file(paths.journal) else paths.folder
            if clock.wall_s() - news.lstat().st_mtime < selected.unchanged_for_s:
                return False
        if not selected.states:
            return True
        try:
            return self._observer.look(handle).state in selected.states
        except UnknownHandle:
            return False

    def _leftovers(self, handle: str) -> Iterator[Item]:
        """What an attempt that has ended left of things that it was making."""
        paths = self._store.handle(handle)
        found: list[tuple[Path, str]] = []
        for path in listed(paths.folder):
            if path == paths.scratch and is_folder(path):
                found.append((path, "scratch"))
            elif path == paths.reserve and is_file(path):
                found.append((path, "reserve"))
            elif path.name.startswith(_DOOMED) and is_folder(path):
                found.append((path, _REST))
            elif _is_temporary(path):
                found.append((path, "temporary file"))
        for checkpoint in listed(paths.checkpoints):
            found.extend((path, "temporary file") for path in listed(checkpoint) if _is_temporary(path))
        if not found:
            return
        try:
            self._require_ended(handle)
        except Kept:
            return
        for path, what in found:
            yield _item(path, what, handle)

    def _lease(self, item: Item, handle: str) -> Lease:
        """The handle's lease, held by this process, while all is as it was when the item was proposed.

        Raises:
            Kept: somebody holds it, or has asked for one more attempt meanwhile.
        """
        paths = self._store.handle(handle)
        before = _stamp(paths.journal)
        if item.path == paths.checkpoints:
            attempt = self._require_spare_checkpoints(handle)
        else:
            attempt = self._require_ended(handle, named=item.path == paths.folder)
        if item.path in (paths.folder, paths.checkpoints):
            self._require_unneeded(handle)
        try:
            lease = Lease.acquire(paths.lease)
        except OSError as error:
            raise Kept(f"its lease cannot be taken ({os.strerror(error.errno or 0)})") from error
        if lease is None:
            raise Kept("its lease is held")
        # Whoever asks for one more attempt says so in the folder first. Where there is no news until now, the attempt
        # that was seen ended is the last one, and another one meets the lease.
        if _stamp(paths.journal) != before or paths.attempt(attempt + 1).exists():
            lease.release()
            raise Kept("somebody has just asked it to go on")
        return lease

    def _require_ended(self, handle: str, *, named: bool = False) -> int:
        """The last attempt, which has ended for certain. A run that cannot be read has to be `named` by a person.

        Raises:
            Kept: the work is, or may be, under way.
        """
        paths = self._store.handle(handle)
        if not is_folder(paths.folder) or paths.lease.is_symlink():
            raise Kept("a link is where its folder or its lease should be")
        seen = look(paths.lease)
        if seen.liveness is Liveness.UNKNOWN:
            raise Kept(f"nobody can tell whether it is at work: {seen.why}")
        if seen.liveness is Liveness.ALIVE:
            raise Kept(f"process {seen.pid} is at work on it")
        if handle.startswith("run-") and not _is_readable(paths):
            if not named:
                raise Kept("it cannot be read; name it to remove it all the same")
            if self._store.queued(handle).exists():
                raise Kept("it cannot be read, and stands in the queue")
            return 0
        try:
            snapshot = self._observer.look(handle)
        except UnknownHandle as error:
            raise Kept("it cannot be read") from error
        if snapshot.doubt:
            raise Kept(f"nobody can tell whether it is at work: {snapshot.doubt}")
        if snapshot.state.is_active or paths.attempt(snapshot.ledger.attempt + 1).exists():
            raise Kept(f"it is {snapshot.state.value}")
        return snapshot.ledger.attempt

    def _require_spare_checkpoints(self, handle: str) -> int:
        """The last attempt, which has succeeded and left an adapter. Raises Kept otherwise."""
        attempt = self._require_ended(handle)
        snapshot = self._observer.look(handle)
        if snapshot.state is not RunState.SUCCEEDED:
            raise Kept(f"it has {snapshot.state.value}, and can be resumed")
        if not is_folder(snapshot.paths.adapter):
            raise Kept("it has no adapter")
        return attempt

    def _require_unneeded(self, handle: str) -> None:
        if (why := self._references.why_needed(handle)) is not None:
            raise Kept(why)


def require_checkpoints(observer: Observer, run_id: str) -> None:
    """Do nothing where a run that has committed checkpoints still has one.

    Raises:
        InvalidArgument: they were removed, so that going on would begin at the first step again.
    """
    snapshot = observer.look(run_id)
    step = snapshot.ledger.checkpoint_step
    if step is None or any(path.is_dir() for path in listed(snapshot.paths.checkpoints)):
        return
    adapter = " Its adapter is there." if is_folder(snapshot.paths.adapter) else ""
    raise InvalidArgument(
        f"{run_id} has no checkpoint to go on from: those up to step {step} were removed.{adapter}",
        "Call start_training with its plan_id and without resume_run_id: a new run, from the first step on.",
    )


def _abandoned(store: Store) -> Iterator[Item]:
    """What belongs to no handle."""
    for folder in (store.root, *listed(store.root)):
        for path in listed(folder):
            if _is_temporary(path) and _is_abandoned(path):
                yield _item(path, "temporary file", None)
    for work in Work:
        for path in listed(store.folder_of(work)):
            if not is_folder(path):
                continue
            if path.name.startswith(_DOOMED):
                yield _item(path, _REST, None)
            elif path.name.startswith(f"{_BEING_MADE}{PREFIX_OF_WORK[work]}-") and _is_abandoned(path):
                yield _item(path, "rest of a creation", None)


def _is_abandoned(path: Path) -> bool:
    """Whether nobody can be at work on what belongs to no handle: doomed already, or untouched for long enough."""
    if path.name.startswith(_DOOMED):
        return True
    if is_folder(path) and look(HandlePaths(path).lease).liveness is not Liveness.DEAD:
        return False
    return clock.wall_s() - _newest_change(path) > UNTOUCHED_S


def _newest_change(path: Path) -> float:
    """Wall seconds; 0 when there is nothing."""
    try:
        own = path.lstat().st_mtime
    except OSError:
        return 0.0
    return max([own, *(_newest_change(below) for below in listed(path))])


def _is_readable(paths: HandlePaths) -> bool:
    return (
        read_document(paths.request, TrainRequest) is not None and read_document(paths.plan, Plan) is not None
    )


def _is_temporary(path: Path) -> bool:
    return _TEMPORARY.fullmatch(path.name) is not None and is_file(path)


def _item(path: Path, what: str, handle: str | None) -> Item:
    return Item(path, what, handle, use_of([path]).freed_bytes)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when something is appended to the file; None while there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _delete(path: Path) -> None:
    """Delete a file, or a folder, which is out of sight from the first moment on."""
    if not is_folder(path):
        path.unlink(missing_ok=True)
        return
    if not path.name.startswith(_DOOMED):
        doomed = path.with_name(f"{_DOOMED}{path.name}-{secrets.token_hex(4)}")
        rename_durably(path, doomed)
        path = doomed
    shutil.rmtree(path, onerror=_raise_unless_gone)


def _raise_unless_gone(_function: Any, _path: str, failure: Any) -> None:
    """Another pruner may have been quicker."""
    if not isinstance(failure[1], FileNotFoundError):
        raise failure[1]

"""The life of a job process, from its first instruction to its terminal event."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from tunesmith.jobs import machine, reserve
from tunesmith.jobs.context import JobContext, Stopped, Superseded
from tunesmith.jobs.files import storage_error, write_document
from tunesmith.jobs.journal import Journal
from tunesmith.jobs.lease import Lease
from tunesmith.jobs.ledger_sidecar import FollowedLedger
from tunesmith.jobs.paths import HandlePaths, Store
from tunesmith.jobs.turns import Turns
from tunesmith.jobs.waking import poke
from tunesmith.schemas.base import Document
from tunesmith.schemas.enums import RunState, Work
from tunesmith.schemas.errors import DiskFull, MissingExtra, OutOfMemory, TunesmithError
from tunesmith.schemas.handles import work_of
from tunesmith.schemas.runs import ErrorReport

JobFunction = Callable[[JobContext], Document]

EXIT_LEASE_TAKEN = 75
EXIT_SUPERSEDED = 76
EXIT_UNUSED = 77
"""A process that stayed for more work has left, because none came; work that it was just being given was not begun."""
NOT_AN_END = (EXIT_LEASE_TAKEN, EXIT_SUPERSEDED, EXIT_UNUSED)
"""Exits that say nothing about the attempt: another process is at it, or it is not the newest."""
TRACKER_THREAD = "tracker-"
"""How the names of threads begin that feed trackers: a process does not wait for them to leave."""
_NICENESS = 5
_EXTRA_MODULES = {
    "torch", "transformers", "peft", "trl", "bitsandbytes", "datasets", "accelerate", "huggingface_hub", "pyarrow",
    "safetensors", "matplotlib", "numpy", "msgspec", "xxhash", "chardet", "rensa", "ftfy", "py3langid",
}  # fmt: skip
_DATA_WORK = {Work.LOAD_DATASET, Work.CLEAN_DATASET, Work.BUILD_GOLDEN_SET}
INSTALL_EXTRA = (
    "Install the training stack where the server runs: pip install 'tunesmith[train]'. Then call again."
)


def run_attempt(store_root: str, handle: str, attempt: int, load: Callable[[], JobFunction]) -> int:
    """Do the work of one attempt in this process and return its exit status.

    The process leaves its parent's session and drops every inherited descriptor, so that nothing which happens to the
    server, its client or the host reaches it. `load` imports the job's function; heavy imports belong in there.
    """
    store = Store(Path(store_root))
    _leave_parent()
    return _attempt(store, handle, attempt, load, threading.Event())[0]


def run_attempts(
    store_root: str, handle: str, attempt: int, load: Callable[[], JobFunction], turns: Path, stay_s: float
) -> int:
    """`run_attempt`, and then whatever other work the host sends through the FIFO `turns`, one after the other.

    What the first work has loaded is there for the next. The process leaves with EXIT_UNUSED when nothing came for
    `stay_s`, when the host says so, and when the host is gone; with the work's own status when that did not succeed,
    because nobody knows what a failure has left in memory.
    """
    store, terminated = Store(Path(store_root)), threading.Event()
    _leave_parent()
    _redirect(store.handle(handle).log)
    incoming = Turns.receive(store, turns)
    while True:
        status, lease = _attempt(store, handle, attempt, load, terminated)
        if lease is not None:
            lease.release()
        if status != 0:
            return status
        poke(store)  # the host takes no notice of this work's end otherwise: the process goes on
        turn = incoming.next(stay_s, terminated)
        if turn is None:
            return EXIT_UNUSED
        handle, attempt = turn


def _attempt(
    store: Store, handle: str, attempt: int, load: Callable[[], JobFunction], terminated: threading.Event
) -> tuple[int, Lease | None]:
    """The exit status, and the lease where the work was begun: it goes with the process, or is given up by it."""
    paths = store.handle(handle)
    _redirect(paths.log)
    _listen_for_sigterm(terminated)  # before the lease tells anybody whom to send a signal
    lease = Lease.acquire(paths.lease)
    if lease is None:
        return EXIT_LEASE_TAKEN, None
    job = JobContext(store, paths, Journal(paths.journal, attempt), lease, terminated)
    try:
        check_unbegun(job)
        job.journal.append("started", durable=True, **_identity())
        state, error = _work(job, load)
        job.check_current()
    except Superseded as superseded:
        print(superseded, file=sys.stderr)  # noqa: T201 - its log; nobody waits for its end
        return EXIT_SUPERSEDED, lease
    _finish(job, state, error)
    return (0 if state is not RunState.FAILED else 1), lease


def check_unbegun(job: JobContext) -> None:
    """To be called with the lease held, before anything is done: an attempt begins once.

    A host that died may have forked a process that gets on only after another host has claimed the work again.

    Raises:
        Superseded: this attempt was begun, or ended, by somebody else, or is not the newest.
    """
    job.check_current()
    ledger = FollowedLedger(job.paths).refresh()
    told = (ledger.worker, ledger.returncode, ledger.finished)
    if ledger.attempt == job.attempt and any(one is not None for one in told):
        raise Superseded(f"{job.handle}: attempt {job.attempt} was begun or ended before")


def _identity() -> dict[str, Any]:
    pid = os.getpid()
    return {"pid": pid, "birth": machine.birth(pid), "node": machine.node(), "boot_id": machine.boot_id()}


def _work(job: JobContext, load: Callable[[], JobFunction]) -> tuple[RunState, ErrorReport | None]:
    try:
        reserve.hold(job.paths.reserve)
        result = load()(job)
        job.check_current()
        write_document(job.paths.result, result)
    except Stopped:
        return RunState.STOPPED, None
    except Exception as failure:  # noqa: BLE001 - the last place that can tell how the work ended
        with suppress(OSError):  # a full disk has no room for the log either
            traceback.print_exc()
        error = translate(failure, job.paths)
        return RunState.FAILED, ErrorReport(code=error.code, message=error.message, recovery=error.recovery)
    return RunState.SUCCEEDED, None


def _finish(job: JobContext, state: RunState, error: ErrorReport | None) -> None:
    told = {"state": state.value, "error": None if error is None else error.model_dump(mode="json")}
    try:
        job.journal.append("finished", durable=True, **told)
    except DiskFull:
        reserve.release(job.paths.reserve)
        job.journal.append("finished", durable=True, **told)
    reserve.release(job.paths.reserve)


def translate(failure: BaseException, paths: HandlePaths) -> TunesmithError:
    """The error that a caller is told for whatever ended the work."""
    if isinstance(failure, TunesmithError):
        return failure
    if isinstance(failure, MemoryError) or type(failure).__name__ == "OutOfMemoryError":
        if work_of(paths.handle) in _DATA_WORK:
            return OutOfMemory(
                "The data needs more memory than a job may use.",
                "Load fewer rows (max_rows), or split the file into smaller ones, and call again.",
            )
        return OutOfMemory(
            "Memory ran out.", "Plan again with a smaller batch_size or max_length, or tuning_method='qlora'."
        )
    if isinstance(failure, ModuleNotFoundError) and (failure.name or "").partition(".")[0] in _EXTRA_MODULES:
        return MissingExtra(
            f"The training stack is not installed ({failure.name} is missing).", INSTALL_EXTRA
        )
    if isinstance(failure, OSError) and failure.errno in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS):
        return storage_error(failure, paths.folder)
    error = TunesmithError(
        f"An unexpected {type(failure).__name__} ended the work; the details are in its log.",
        f"Read run://{paths.handle}/log. If the log does not explain it, report it as a bug of Tunesmith.",
    )
    error.code = "internal"
    return error


def _leave_parent() -> None:
    """Own session, no inherited descriptors."""
    with suppress(PermissionError):  # already the leader of its own session
        os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for target in (0, 1, 2):
        os.dup2(null, target)
    _close_inherited()
    sys.stdin = os.fdopen(0, "r", closefd=False)
    with suppress(OSError):
        os.nice(_NICENESS)  # the server has to answer while every core trains


def _redirect(log: Path) -> None:
    """Output to the log."""
    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    for target in (1, 2):
        os.dup2(out, target)
    os.close(out)
    sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False, errors="backslashreplace")
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False, errors="backslashreplace")


def _close_inherited() -> None:
    listing = Path("/proc/self/fd")
    highest = max(int(entry.name) for entry in listing.iterdir()) if listing.is_dir() else 1024
    os.closerange(3, highest + 1)


def _listen_for_sigterm(terminated: threading.Event) -> None:
    def terminate(_signal: int, _frame: FrameType | None) -> None:
        terminated.set()

    signal.signal(signal.SIGTERM, terminate)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)

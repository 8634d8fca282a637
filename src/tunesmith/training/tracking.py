"""What a training tells trackers such as TensorBoard beside its journal.

Each tracker has a thread of its own, which is fed through a queue: one that fails, or hangs in a connection, costs a
warning and nothing else. The journal stays the record of a run; no tracker's figures are ever read back.
"""

from __future__ import annotations

import queue
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal

from transformers import TrainerControl, TrainerState

from tunesmith.jobs import clock
from tunesmith.jobs.context import JobContext, Stopped
from tunesmith.jobs.files import read_document
from tunesmith.jobs.journal import read_events
from tunesmith.jobs.ledger_sidecar import FollowedLedger
from tunesmith.jobs.process import TRACKER_THREAD
from tunesmith.schemas.errors import DiskFull, StorageFailed
from tunesmith.schemas.plans import Plan
from tunesmith.schemas.runs import TrackerName, Tracking
from tunesmith.training.tracker_kinds import (
    OPENERS,
    TITLES,
    Arguments,
    Opened,
    Told,
    settle_environment,
    without_secrets,
)

MOST_WAITING = 10_000
"""Figures that may wait for a tracker. One that falls so far behind hangs."""
_TOLD = ("loss", "grad_norm", "learning_rate", "epoch")
_END_S = 30.0
"""How long trackers may take to put away the figures of a run that has succeeded."""
_HURRIED_END_S = 10.0
"""The same where somebody waits for the run to stop, or for the reason of its failure."""

Ending = Literal["finished", "failed", "stopped"]
Figures = Mapping[str, float]
Open = Callable[[Told], Opened]


class Trackers:
    """The trackers of one attempt, from the `with` block's beginning to its end.

    `log` and `evaluated` only put figures into queues. Optimizer steps that were told before, which a lower rung of the
    memory ladder repeats, are not told again.
    """

    def __init__(self, job: JobContext, told: Told, openers: Mapping[TrackerName, Open]) -> None:
        """`told` is what trackers hear of the run at its beginning."""
        self._newest_step = -1
        self._newest_evaluation = -1
        self._feeds = [_Feed(job, name, told, opener) for name, opener in openers.items()]

    def log(self, step: int, logs: Figures) -> None:
        """Take what the Trainer logged of an optimizer step."""
        if step <= self._newest_step:
            return
        self._newest_step = step
        self._put(step, {name: float(logs[name]) for name in _TOLD if name in logs})

    def evaluated(self, step: int, loss: float, accuracy: float | None) -> None:
        """Take the figures of the dev half; step 0 is the untrained base."""
        if step <= self._newest_evaluation:
            return
        self._newest_evaluation = step
        self._put(step, {"eval_loss": loss, **({} if accuracy is None else {"eval_accuracy": accuracy})})

    def _put(self, step: int, figures: Figures) -> None:
        for feed in self._feeds:
            feed.put(step, figures)

    def __enter__(self) -> Trackers:
        for feed in self._feeds:
            feed.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Have every tracker put its figures away, and wait a bounded time for all of them together."""
        ending: Ending = "finished" if kind is None else "stopped" if issubclass(kind, Stopped) else "failed"
        limit_s = _END_S if ending == "finished" else _HURRIED_END_S
        for feed in self._feeds:
            feed.end(ending)
        deadline = clock.boot_s() + limit_s
        for feed in self._feeds:
            feed.wait(deadline, limit_s)


def open_trackers(job: JobContext, plan: Plan) -> Trackers:
    """The trackers that this run was to report to; none is the usual number."""
    tracking = read_document(job.paths.tracking, Tracking) or Tracking()
    if tracking.report_to:
        settle_environment(tracking.settings)
    committed = FollowedLedger(job.paths).refresh().checkpoint_step or 0
    told = Told(
        arguments=Arguments.of(plan, job.handle),
        folder=job.paths.trackers,
        repeats_from=None if job.attempt == 1 else committed + 1,
    )
    return Trackers(job, told, {name: OPENERS[name] for name in tracking.report_to})


class _Feed:
    """One tracker behind its queue."""

    def __init__(self, job: JobContext, name: TrackerName, told: Told, opener: Open) -> None:
        self._job = job
        self._name: TrackerName = name
        self._told = told
        self._open = opener
        self._waiting: queue.Queue[tuple[int, Figures] | Ending] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name=f"{TRACKER_THREAD}{name}", daemon=True)
        self._lock = threading.Lock()
        self._given_up = False

    def start(self) -> None:
        self._thread.start()

    def put(self, step: int, figures: Figures) -> None:
        self._offer((step, figures))

    def end(self, ending: Ending) -> None:
        self._offer(ending)

    def wait(self, deadline: float, limit_s: float) -> None:
        """Until the tracker is done; one that is not by `deadline`, in boot seconds, is left behind."""
        self._thread.join(max(0.0, deadline - clock.boot_s()))
        if self._thread.is_alive():
            self._give_up(f"it was not done {limit_s:.0f} s after the last step")

    def _offer(self, item: tuple[int, Figures] | Ending) -> None:
        if self._given_up:
            return
        try:
            self._waiting.put_nowait(item)
        except queue.Full:
            self._give_up(f"{MOST_WAITING:,} figures wait for it")

    def _run(self) -> None:
        try:
            opened = self._open(self._told)
            self._tell_where(opened)
            while not isinstance(item := self._waiting.get(), str):
                self._hand_over(opened.callback, *item)
                if self._given_up:  # it fell behind
                    return
            opened.end(item)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a tracker does, the training goes on
            print(without_secrets(traceback.format_exc()), file=sys.stderr)  # noqa: T201 - the run's log
            self._give_up(type(error).__name__)

    def _hand_over(self, callback: Any, step: int, figures: Figures) -> None:
        # A state of its own: the Trainer's has gone on by the time that the tracker looks.
        state = TrainerState(global_step=step)
        callback.on_log(self._told.arguments, state, TrainerControl(), logs=dict(figures))

    def _give_up(self, why: str) -> None:
        with self._lock:
            if self._given_up:
                return
            self._given_up = True
        with suppress(DiskFull, StorageFailed):  # if that lasts, the run's own events meet it too
            self._job.journal.append(
                "finding",
                code="tracker_failed",
                severity="warn",
                message=f"{TITLES[self._name]} gets no more figures of attempt {self._job.attempt} of this run: {why}. "
                "The training is not affected, and get_status has all figures.",
                recovery=f"Read run://{self._job.handle}/log for the reason; start later runs with another "
                "report_to, or once the tracker works again.",
            )

    def _tell_where(self, opened: Opened) -> None:
        message = f"{TITLES[self._name]} gets the figures of this run: {opened.where}."
        events = read_events(self._job.paths.journal)
        if any(event["event"] == "finding" and event.get("message") == message for event in events):
            return  # an earlier attempt has told
        self._job.journal.append(
            "finding",
            code=f"reports_to_{self._name}",
            severity="info",
            message=message,
            recovery=f"To look at them: {opened.look}.",
        )

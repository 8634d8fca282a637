"""The state of some work, derived from its journal and its lease. It is never stored, so nobody can disagree.

               create           claimed            started                 finished
    (nothing) ────────> queued ─────────> starting ────────> running ─────────────────> succeeded | failed | stopped
                          ^                  │                 │  stop file
                          │                  │                 ├──────────> stopping ──> stopped (or succeeded)
                          │                  │ exited          │ lease free, no terminal event
                          │  resume          v                 v
                          └───────────── interrupted <─────────┘

Terminal events are final for their attempt; a resume is a new attempt.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import Any

from tunesmith.jobs.journal import Event
from tunesmith.schemas.enums import RunState
from tunesmith.schemas.runs import ErrorReport

START_GRACE_S = 30.0
"""How long a claimed job may go without a lease when its host is gone: it may have been forked a moment before."""


@dataclass
class Ledger:
    """What a journal's events add up to; `add` them in order."""

    attempt: int = 0
    claimed_boot_s: float | None = None
    host_pid: int | None = None
    started_boot_s: float | None = None
    started_t: float | None = None
    last_boot_s: float | None = None
    phase: str | None = None
    progress: dict[str, Any] = field(default_factory=dict)
    losses: list[tuple[int, float]] = field(default_factory=list)
    evaluations: list[tuple[int, float, float | None]] = field(default_factory=list)
    checkpoint_step: int | None = None
    findings: list[dict[str, Any]] = field(default_factory=list)
    finished: str | None = None
    error: dict[str, Any] | None = None
    returncode: int | None = None
    events: int = 0

    def add(self, event: Event) -> None:
        """Take one event into account; those of an older attempt that arrive late change nothing."""
        attempt: int = event["attempt"]
        if attempt < self.attempt or (attempt == self.attempt and self.finished is not None):
            return
        if attempt > self.attempt:
            self._begin(attempt)
        self.events += 1
        name = event["event"]
        self.last_boot_s = event.get("boot", self.last_boot_s)
        if name == "requeued":
            pass  # it began a new attempt, which is all it means
        elif name == "claimed":
            self.claimed_boot_s, self.host_pid = event.get("boot"), event.get("host_pid")
        elif name == "started":
            self.started_boot_s, self.started_t = event.get("boot"), event.get("t")
        elif name == "phase":
            self.phase = event.get("phase")
        elif name == "progress":
            self._add_progress(event)
        elif name == "evaluated":
            self._add_evaluation(event)
        elif name == "checkpoint":
            self.checkpoint_step = event.get("step")
        elif name == "finding":
            self.findings.append(event)
        elif name == "finished":
            self.finished, self.error = event.get("state"), event.get("error")
        elif name == "exited":
            self.returncode = event.get("returncode")

    def _begin(self, attempt: int) -> None:
        """A new attempt keeps what was measured and forgets how the last one ended."""
        self.attempt = attempt
        self.claimed_boot_s = self.started_boot_s = None
        self.finished = self.error = self.returncode = self.phase = None

    def _add_progress(self, event: Event) -> None:
        step = event.get("step")
        if not isinstance(step, int):
            return
        # Steps after the last commit are repeated by a resumed attempt; the newer figures replace the older ones.
        self.losses = (
            [point for point in self.losses if point[0] < step] if self._repeats(step) else self.losses
        )
        self.progress = {key: event[key] for key in event if key not in ("event", "t", "boot", "attempt")}
        if isinstance(event.get("loss"), (int, float)):
            self.losses.append((step, float(event["loss"])))

    def _repeats(self, step: int) -> bool:
        return bool(self.losses) and self.losses[-1][0] >= step

    def _add_evaluation(self, event: Event) -> None:
        step, loss = event.get("step"), event.get("eval_loss")
        if isinstance(step, int) and isinstance(loss, (int, float)):
            self.evaluations = [point for point in self.evaluations if point[0] != step]
            self.evaluations.append((step, float(loss), event.get("accuracy")))
            self.evaluations.sort(key=lambda point: point[0])


@dataclass(frozen=True)
class Surroundings:
    """What the file system says beside the journal."""

    lease_held: bool
    host_pid: int | None
    stop_requested: bool
    boot_s: float


def derive_state(ledger: Ledger, around: Surroundings) -> RunState:
    """The state: a pure function of the two."""
    if ledger.finished is not None:
        return RunState(ledger.finished)
    if ledger.attempt == 0 or (ledger.claimed_boot_s is None and ledger.started_boot_s is None):
        return RunState.QUEUED
    if around.lease_held:
        if around.stop_requested:
            return RunState.STOPPING
        return RunState.RUNNING if ledger.started_boot_s is not None else RunState.STARTING
    if ledger.returncode is not None or ledger.started_boot_s is not None:
        return RunState.INTERRUPTED
    host_is_alive = around.host_pid is not None and around.host_pid == ledger.host_pid
    waited_s = around.boot_s - (ledger.claimed_boot_s or around.boot_s)
    if host_is_alive or 0 <= waited_s < START_GRACE_S:
        return RunState.STARTING
    return RunState.INTERRUPTED


def interruption(ledger: Ledger, handle: str, resumable: bool) -> ErrorReport:
    """What to say about work whose process ended before the work did."""
    code = ledger.returncode
    if code is None:
        how = "its process is gone and nothing recorded how it ended"
    elif code < 0:
        how = f"its process was ended by signal {-code} ({_signal_name(-code)})"
    else:
        how = f"its process ended with status {code}"
    if resumable and ledger.checkpoint_step is not None:
        saved = f"Committed up to step {ledger.checkpoint_step}."
    else:
        saved = "Nothing was committed yet."
    recovery = (
        f'Call start_training with resume_run_id="{handle}" to go on.'
        if resumable
        else "Make the call again."
    )
    return ErrorReport(code="interrupted", message=f"Interrupted: {how}. {saved}", recovery=recovery)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"

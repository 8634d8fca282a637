"""The state of some work, derived from its journal and its lease. It is never stored, so nobody can disagree.

               create           claimed            started                 finished
    (nothing) ────────> queued ─────────> starting ────────> running ─────────────────> succeeded | failed | stopped
                         ^ ^                │ │                │  stop file
                         │ └────────────────┘ │                ├──────────> stopping ──> stopped (or succeeded)
                         │  host gone before  │ exited         │ lease free, no terminal event
                         │  anything started  v                v
                         │  resume       interrupted <─────────┤
                         └────────────────────┘                └──────────> failed: the kernel's count says memory

docs/reliability.md letters the transitions. Terminal events are final for their attempt; a resume is a new attempt.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass, field, replace
from typing import Any

from tunesmith.jobs.journal import Event
from tunesmith.jobs.lease import Liveness
from tunesmith.jobs.series import Point, Series
from tunesmith.schemas.enums import RunState
from tunesmith.schemas.runs import ErrorReport

START_GRACE_S = 10.0
"""How long a claimed job may go without a lease when its host is gone: it may have been forked a moment before."""


@dataclass
class Ledger:
    """What a journal's events add up to; `add` them in order."""

    attempt: int = 0
    claimed_boot_s: float | None = None
    host_pid: int | None = None
    device: str | None = None
    worker: dict[str, Any] | None = None
    """Which process began the attempt, on which machine: pid, birth, node, boot_id (jobs/machine.py)."""
    started_boot_s: float | None = None
    last_boot_s: float | None = None
    phase: str | None = None
    progress: dict[str, Any] = field(default_factory=dict)
    curve: Series = field(default_factory=Series)
    rates: Series = field(default_factory=Series)
    speeds: Series = field(default_factory=Series)
    resumes: list[tuple[int, int]] = field(default_factory=list)
    """Each attempt that went on with another's work, and the first step that it told."""
    gradients: Series = field(default_factory=Series)
    evaluations: list[tuple[int, float, float | None]] = field(default_factory=list)
    inputs: dict[str, Any] = field(default_factory=dict)
    prompt_use: dict[str, Any] = field(default_factory=dict)
    checkpoint_step: int | None = None
    checkpoints: list[int] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    finished: str | None = None
    error: dict[str, Any] | None = None
    returncode: int | None = None
    oom_kills: int = 0
    stop_forced: bool = False
    declared_dead: bool = False
    events: int = 0

    @property
    def losses(self) -> list[Point]:
        """Training losses in the order of their steps; those of a long run are means of neighbours."""
        return self.curve.points

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
            self.device = event.get("device")
        elif name == "started":
            self.started_boot_s = event.get("boot")
            self.worker = {name: event.get(name) for name in ("pid", "birth", "node", "boot_id")}
        elif name == "phase":
            self.phase = event.get("phase")
        elif name == "progress":
            self._add_progress(event)
        elif name == "evaluated":
            self._add_evaluation(event)
        elif name == "inputs":
            self.inputs = _told(event)
        elif name == "prompt_use":
            self.prompt_use = _told(event)
        elif name == "checkpoint":
            self._add_checkpoint(event)
        elif name == "finding":
            self.findings.append(event)
        elif name == "finished":
            self.finished, self.error = event.get("state"), event.get("error")
        elif name == "stop_forced":
            self.stop_forced = True
        elif name == "declared_dead":
            self.declared_dead = True
        elif name == "exited":
            self.returncode, self.oom_kills = event.get("returncode"), event.get("oom_kills") or 0

    def copy(self) -> Ledger:
        """The ledger as it is now, which stays so while this one goes on."""
        return replace(
            self,
            curve=self.curve.copy(),
            rates=self.rates.copy(),
            speeds=self.speeds.copy(),
            resumes=[*self.resumes],
            gradients=self.gradients.copy(),
            evaluations=[*self.evaluations],
            checkpoints=[*self.checkpoints],
            findings=[*self.findings],
        )

    def _begin(self, attempt: int) -> None:
        """A new attempt keeps what was measured and forgets how the last one ended."""
        self.attempt = attempt
        self.claimed_boot_s = self.started_boot_s = self.device = self.worker = None
        self.finished = self.error = self.returncode = self.phase = None
        self.oom_kills = 0
        self.stop_forced = self.declared_dead = False

    def _add_progress(self, event: Event) -> None:
        step = event.get("step")
        if not isinstance(step, int):
            return
        self.progress = {key: event[key] for key in event if key not in ("event", "t", "boot", "attempt")}
        if self.attempt > 1 and (not self.resumes or self.resumes[-1][0] < self.attempt):
            self.resumes.append((self.attempt, step))
        # Steps after the last commit are repeated by a resumed attempt; the newer figures replace the older ones.
        for series, name in (
            (self.curve, "loss"),
            (self.rates, "learning_rate"),
            (self.speeds, "tokens_per_s"),
            (self.gradients, "grad_norm"),
        ):
            value = event.get(name)
            if isinstance(value, (int, float)):
                series.add(step, float(value))

    def _add_checkpoint(self, event: Event) -> None:
        self.checkpoint_step = step = event.get("step")
        if isinstance(step, int):
            while self.checkpoints and self.checkpoints[-1] >= step:
                self.checkpoints.pop()
            self.checkpoints.append(step)

    def _add_evaluation(self, event: Event) -> None:
        step, loss = event.get("step"), event.get("eval_loss")
        if isinstance(step, int) and isinstance(loss, (int, float)):
            self.evaluations = [point for point in self.evaluations if point[0] != step]
            self.evaluations.append((step, float(loss), event.get("accuracy")))
            self.evaluations.sort(key=lambda point: point[0])


def _told(event: Event) -> dict[str, Any]:
    """An event's own fields."""
    return {key: event[key] for key in event if key not in ("event", "t", "boot", "attempt")}


@dataclass(frozen=True)
class Surroundings:
    """What the file system says beside the journal."""

    liveness: Liveness
    was_begun: bool
    """Whether there is a lease file: somebody has worked at it, whatever the journal says."""
    host_pid: int | None
    stop_requested: bool
    boot_s: float


def derive_state(ledger: Ledger, around: Surroundings) -> RunState:
    """The state: a pure function of the two."""
    if ledger.finished is not None:
        return RunState(ledger.finished)
    if ledger.attempt == 0 or (ledger.claimed_boot_s is None and ledger.started_boot_s is None):
        return RunState.INTERRUPTED if ledger.attempt == 0 and around.was_begun else RunState.QUEUED
    dead = around.liveness is Liveness.DEAD or (around.liveness is Liveness.UNKNOWN and ledger.declared_dead)
    if not dead:  # a process that may be alive is treated as one that is
        if ledger.started_boot_s is None:
            return RunState.STARTING
        return RunState.STOPPING if around.stop_requested else RunState.RUNNING
    if ledger.returncode is not None or ledger.started_boot_s is not None:
        if ledger.stop_forced:
            return RunState.STOPPED
        return RunState.FAILED if ledger.oom_kills else RunState.INTERRUPTED
    host_is_alive = around.host_pid is not None and around.host_pid == ledger.host_pid
    waited_s = around.boot_s - (ledger.claimed_boot_s or around.boot_s)
    if host_is_alive or 0 <= waited_s < START_GRACE_S:
        return RunState.STARTING
    # Nothing was begun, so another host may begin it; work without a host has nobody who would.
    return RunState.QUEUED if ledger.host_pid is not None else RunState.INTERRUPTED


def killed_for_memory(ledger: Ledger, handle: str) -> ErrorReport:
    """What to say about work that the kernel ended because memory ran out."""
    return ErrorReport(
        code="out_of_memory",
        message=f"Memory ran out, and the system ended the process. {_saved(ledger)}",
        recovery="Plan again with a smaller batch_size or max_length, or tuning_method='qlora'; or make room (other "
        f'programs, other runs) and call start_training with resume_run_id="{handle}".'
        if handle.startswith("run-")
        else "Make room (other programs, other runs), or ask for less, and make the call again.",
    )


def interruption(ledger: Ledger, handle: str, resumable: bool) -> ErrorReport:
    """What to say about work whose process ended before the work did."""
    code = ledger.returncode
    if ledger.attempt == 0:
        return ErrorReport(
            code="interrupted",
            message="Interrupted: the journal that told what had happened is lost or cannot be read.",
            recovery=f'Call start_training with resume_run_id="{handle}": it goes on from the last commit, if any.'
            if resumable
            else "Make the call again.",
        )
    if code is None:
        how = "its process is gone and nothing recorded how it ended"
    elif code < 0:
        how = f"its process was ended by signal {-code} ({_signal_name(-code)})"
    else:
        how = f"its process ended with status {code}"
    recovery = (
        f'Call start_training with resume_run_id="{handle}" to go on.'
        if resumable
        else "Make the call again."
    )
    return ErrorReport(code="interrupted", message=f"Interrupted: {how}. {_saved(ledger)}", recovery=recovery)


def _saved(ledger: Ledger) -> str:
    if ledger.checkpoint_step is None:
        return "Nothing was committed yet."
    return f"Committed up to step {ledger.checkpoint_step}."


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"

"""What must hold of runs whose processes were killed, judged from what was written down and what was seen.

Everything here is pure: histories in, sentences about broken promises out. benchmarks/chaos.py makes the histories.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tunesmith.jobs.journal import Event
from tunesmith.schemas.enums import RunState

RUNNING_WHEN_GONE_S = 2.0
"""How long a run may still be called running when its process is gone."""

_ENDED = {RunState.SUCCEEDED, RunState.FAILED, RunState.STOPPED, RunState.INTERRUPTED}
_AFTER: dict[RunState, set[RunState]] = {
    RunState.QUEUED: set(RunState),
    RunState.STARTING: set(RunState),  # back to queued too: the host was gone before anything started
    RunState.RUNNING: {RunState.STOPPING, *_ENDED},
    RunState.STOPPING: _ENDED,
}
"""What may be seen after a state within one attempt, however much happened between two looks. An end stays."""


@dataclass(frozen=True)
class Kill:
    """A SIGKILL: `committed` has, for each run there was, the newest step that its journal called committed."""

    kind: str
    boot_s: float
    committed: Mapping[str, int]
    in_commit: bool = False
    """A checkpoint was being made."""


@dataclass(frozen=True)
class Sight:
    """What one look at a run told. `gone_s`: for how long the attempt's process had been gone by then."""

    state: RunState
    attempt: int
    step: int
    checkpoint_step: int
    gone_s: float | None = None
    lives_on: bool = False
    """The attempt's process was alive, and went on living, after the look."""


@dataclass
class History:
    """All that is known of one run in the end. `from_steps`: where attempts noted that they went on from."""

    handle: str
    total_steps: int
    events: Sequence[Event]
    from_steps: Mapping[int, int]
    adapter_is_exact: bool
    sights: Sequence[Sight] = ()
    tells_each_step: bool = True
    """A real training tells its progress four times a second, and each step only where that is slower."""


@dataclass
class Violations:
    """Sentences about what went wrong, under the promise that it breaks."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    misreported: list[str] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)

    def of(self) -> dict[str, list[str]]:
        return {
            "a committed step was lost": self.lost,
            "a run was duplicated": self.duplicated,
            "a wrong state was reported": self.misreported,
            "a process or descriptor was left": self.left_behind,
        }

    def add(self, other: Violations) -> None:
        for mine, theirs in zip(self.of().values(), other.of().values(), strict=True):
            mine += theirs

    @property
    def total(self) -> int:
        return sum(map(len, self.of().values()))


def judge(history: History, kills: Sequence[Kill]) -> Violations:
    """Everything that is wrong with a run that has succeeded by now, or should have."""
    return Violations(
        lost=[f"{history.handle}: {what}" for what in lost_steps(history, kills)],
        duplicated=[f"{history.handle}: {what}" for what in duplicated_attempts(history.events)],
        misreported=[
            f"{history.handle}: {what}" for what in wrong_states(history.sights, history.tells_each_step)
        ],
    )


def lost_steps(history: History, kills: Iterable[Kill]) -> list[str]:
    """Committed steps that a later attempt made again, steps that nobody made, and a wrong adapter."""
    found = []
    begun = _first_steps(history)
    for attempt, (boot_s, from_step) in begun.items():
        told = max(
            (kill.committed.get(history.handle, 0) for kill in kills if kill.boot_s < boot_s), default=0
        )
        if from_step < told:
            found.append(
                f"attempt {attempt} went on from step {from_step}, and step {told} was committed before a kill"
            )
    for attempt in {event["attempt"] for event in history.events if event["event"] == "progress"}:
        if attempt > 1 and attempt not in history.from_steps:
            found.append(
                f"attempt {attempt} does not say any more where it went on, so older ones are not fenced"
            )
    committed = 0
    made: dict[int, int] = {}
    for event in history.events:
        attempt = event["attempt"]
        if event["event"] == "checkpoint":
            committed = max(committed, event["step"])
        elif event["event"] == "progress":
            if attempt not in made and event["step"] <= committed:
                found.append(
                    f"attempt {attempt} made step {event['step']} again, and step {committed} was committed"
                )
            if attempt in made and not _follows(event["step"], made[attempt], history):
                found.append(f"attempt {attempt} made step {event['step']} after step {made[attempt]}")
            made[attempt] = event["step"]
    steps = {event["step"] for event in history.events if event["event"] == "progress"}
    missing = sorted(set(range(1, history.total_steps + 1)) - steps)
    if missing and (history.tells_each_step or history.total_steps in missing):
        found.append(f"nobody made the steps {missing}")
    if not history.adapter_is_exact:
        found.append("its adapter is not that of a run that nothing has disturbed")
    return found


def _follows(step: int, earlier: int, history: History) -> bool:
    return step == earlier + 1 or (not history.tells_each_step and step > earlier)


def _first_steps(history: History) -> dict[int, tuple[float, int]]:
    """When each attempt began, and from which step it went on, as it noted or as its first step tells."""
    began = {event["attempt"]: event["boot"] for event in history.events if event["event"] == "started"}
    found: dict[int, tuple[float, int]] = {}
    for event in history.events:
        attempt = event["attempt"]
        if event["event"] == "progress" and attempt in began and attempt not in found:
            found[attempt] = began[attempt], event["step"] - 1
    for attempt, from_step in history.from_steps.items():
        if attempt in began:
            first = found.get(attempt, (began[attempt], from_step))
            found[attempt] = began[attempt], min(first[1], from_step)
    return found


def duplicated_attempts(events: Sequence[Event]) -> list[str]:
    """Attempts that began twice, and numbers that were left out."""
    starts = Counter(event["attempt"] for event in events if event["event"] == "started")
    found = [f"attempt {attempt} began {times} times" for attempt, times in starts.items() if times > 1]
    ends = Counter(event["attempt"] for event in events if event["event"] == "finished")
    found += [f"attempt {attempt} ended {times} times" for attempt, times in ends.items() if times > 1]
    numbers = sorted({event["attempt"] for event in events})
    if numbers != list(range(1, len(numbers) + 1)):
        found.append(f"its attempts are numbered {numbers}")
    return found


def duplicated_runs(wanted: Iterable[str], there: Iterable[str]) -> list[str]:
    """Runs beside those that the keys stand for, and keys without a run."""
    wanted, there = set(wanted), set(there)
    found = [f"{handle}: nobody asked for this run" for handle in sorted(there - wanted)]
    return found + [f"{handle}: it was asked for and is not there" for handle in sorted(wanted - there)]


def wrong_states(sights: Sequence[Sight], tells_each_step: bool = True) -> list[str]:
    """What was told of a run, look after look, and cannot have been so."""
    found = []
    for earlier, later in pairwise(sights):
        found += _wrong_transition(earlier, later)
    # Until the first news of an attempt, the last step of the one before it stands; then it goes back, once.
    back = Counter(
        later.attempt
        for earlier, later in pairwise(sights)
        if later.step < earlier.step and later.attempt == earlier.attempt
    )
    found += [
        f"within attempt {attempt}, the step went back"
        for attempt, times in back.items()
        if times > 1 or attempt == 1
    ]
    for sight in sights:
        if sight.state is RunState.FAILED:
            found.append(f"attempt {sight.attempt} is called failed, and was only killed")
        if (
            sight.state is RunState.RUNNING
            and sight.gone_s is not None
            and sight.gone_s > RUNNING_WHEN_GONE_S
        ):
            found.append(
                f"attempt {sight.attempt} is called running {sight.gone_s:.1f} s after its process ended"
            )
        if sight.state is RunState.INTERRUPTED and sight.lives_on:
            found.append(f"attempt {sight.attempt} is called interrupted while its process lives")
        if tells_each_step and sight.step < sight.checkpoint_step:
            found.append(f"step {sight.checkpoint_step} is committed and only step {sight.step} is made")
    if sights and sights[-1].state is not RunState.SUCCEEDED:
        found.append(f"in the end it is called {sights[-1].state}")
    return found


def _wrong_transition(earlier: Sight, later: Sight) -> list[str]:
    found = []
    if later.checkpoint_step < earlier.checkpoint_step:
        found.append(
            f"the committed step went back from {earlier.checkpoint_step} to {later.checkpoint_step}"
        )
    if later.attempt < earlier.attempt:
        found.append(f"attempt {earlier.attempt} became attempt {later.attempt}")
    elif later.attempt > earlier.attempt:
        if earlier.state is RunState.SUCCEEDED:
            found.append(f"it had succeeded, and attempt {later.attempt} began")
    elif later.state is not earlier.state and later.state not in _AFTER.get(earlier.state, set()):
        found.append(f"within attempt {later.attempt}, {earlier.state} became {later.state}")
    return found

"""Does diagnosis find what is wrong, and does what it proposes help? Real trainings of the demo model, faults planted.

`python -m benchmarks.diagnosis [--fixes] [--only TEXT]` prints the confusion table: each planted fault and what was
found (`get_status`), then 20 sound runs, of which none may get a finding of severity warn or fail. With `--fixes` the
proposed arguments are applied, and the loss on the golden set's test half is printed before and after: at least 8 of
10 have to be better. Last comes the time that diagnosis takes of a journal of a million lines: wanted 0.5 s.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import tunesmith.worker  # noqa: F401 - as in each job process, before torch is there
from benchmarks.planted_faults import Case, cases, sound, tale_rows
from benchmarks.planted_runs import HELD_OUT, Lane, demo_rows, look
from tests.support.written_runs import began, evaluated, progressed, run_handle, write_run
from tunesmith.diagnosis.findings import diagnose
from tunesmith.diagnosis.verdicts import forgetting
from tunesmith.jobs.ledger_sidecar import FollowedLedger
from tunesmith.jobs.paths import HandlePaths, Store
from tunesmith.schemas.enums import TuningMethod
from tunesmith.schemas.runs import Finding
from tunesmith.tools.get_status import history_of
from tunesmith.training.learning_rates import scaled_learning_rate

DEMO_WIDTH = 96
LINES = 1_000_000
BETTER = 0.98
"""A golden loss has to fall by 2 % to count as better."""


@dataclass(frozen=True)
class Outcome:
    """What became of a case. Losses are nats a token on the test half, before and after the proposed fix."""

    case: Case
    findings: list[Finding]
    loss: float
    fixed: float | None = None
    applied: str = ""

    @property
    def codes(self) -> list[str]:
        return [finding.code for finding in self.findings]

    @property
    def serious(self) -> list[str]:
        return [finding.code for finding in self.findings if finding.severity != "info"]

    @property
    def is_better(self) -> bool:
        return self.fixed is not None and self.fixed < BETTER * self.loss

    @property
    def found(self) -> bool:
        return bool(self.case.expected & set(self.codes))


def lanes(folder: Path) -> dict[str, Lane]:
    """A store for each task."""
    held_out = {"orders": demo_rows()[:HELD_OUT], "tales": tale_rows(HELD_OUT, seed=99)}
    return {task: Lane.begin(folder / task, rows) for task, rows in held_out.items()}


def run(lane: Lane, case: Case, fix: bool) -> Outcome:
    """Train the case, ask what is wrong, and with `fix` train again as proposed."""
    card = lane.load(case.rows)
    with case.fault():
        paths = lane.train(lane.plan(card.dataset_id, **case.arguments))
    findings = lane.findings(paths)
    if case.judged_by == "retention":
        forgot = forgetting(history_of(*look(lane.store, paths.handle)), lane.retention(paths))
        findings += [] if forgot is None else [forgot]
    outcome = Outcome(case, findings, judged(lane, case, paths))
    proposed = next((found.fix for found in findings if found.code in case.expected), None)
    if not fix or proposed is None or case.fixed_by == "nothing":
        return outcome
    arguments = dict(proposed.arguments)
    rows = case.healthy or case.rows
    with nullcontext() if case.fixed_by == "person" else case.fault():
        if proposed.tool == "configure_lora":
            plan = lane.plan(**arguments)
        elif proposed.tool == "clean_dataset":
            plan = lane.plan(lane.clean(arguments).dataset_id, **case.arguments)
        else:
            plan = lane.plan(lane.load(rows).dataset_id, **case.arguments)
        fixed = judged(lane, case, lane.train(plan))
    left_out = ("base_model", "dataset_id", "golden_set_id", "source")
    shown = {name: value for name, value in arguments.items() if name not in left_out}
    return Outcome(case, findings, outcome.loss, fixed, f"{proposed.tool} {shown}")


def judged(lane: Lane, case: Case, run: HandlePaths) -> float:
    """The loss that a fix of the case has to lower."""
    return lane.retention(run).tuned if case.judged_by == "retention" else lane.golden_loss(run)


def show(outcome: Outcome, seconds: float) -> None:
    mark = (
        ("found" if outcome.found else "MISSED")
        if outcome.case.expected
        else ("FALSE" if outcome.serious else "ok")
    )
    told = ", ".join(
        f"{finding.severity} {finding.code} ({finding.confidence})" for finding in outcome.findings
    )
    loss = f"{outcome.case.judged_by} {outcome.loss:7.4f}"
    print(f"{mark:<7} {outcome.case.name:<30} {loss}  {seconds:5.1f} s  {told or '-'}", flush=True)
    if outcome.fixed is not None:
        better = "better" if outcome.is_better else "NOT better"
        print(
            f"        fix: {outcome.applied} -> {outcome.case.judged_by} {outcome.fixed:.4f}, {better}",
            flush=True,
        )


def table(outcomes: Sequence[Outcome]) -> None:
    """Planted x found; a sound run stands under what it was told wrongly."""
    codes = sorted({code for outcome in outcomes for code in outcome.codes})
    print("\nplanted x found    " + "".join(f" {place:>3}" for place in range(len(codes))))
    groups = {outcome.case.name if outcome.case.expected else "sound": [] for outcome in outcomes}
    for outcome in outcomes:
        groups[outcome.case.name if outcome.case.expected else "sound"].append(outcome)
    for name, members in groups.items():
        counts = [sum(code in member.codes for member in members) for code in codes]
        print(f"{name:<30}" + "".join(f" {count or '.':>3}" for count in counts) + f"   of {len(members)}")
    for place, code in enumerate(codes):
        print(f"  {place:>3} {code}")


def million_lines(folder: Path) -> tuple[float, float]:
    """Seconds to read a journal of LINES lines, and to diagnose it once it is read."""
    store = Store(folder / "long")
    total = LINES + LINES // 1000
    events = (
        event
        for step in range(1, LINES + 1)
        for event in (
            [progressed(step, total, grad_norm=1.0)]
            + ([evaluated(step, 1 + 2 / step)] if step % 1000 == 0 else [])
        )
    )
    paths = write_run(store, run_handle(1), [*began(), evaluated(0, 3.0)])
    with paths.journal.open("a") as journal:
        journal.writelines(f"{json.dumps(event, separators=(',', ':'))}\n" for event in events)
    began_at = time.perf_counter()
    FollowedLedger(paths).refresh()
    read = time.perf_counter() - began_at
    workspace, snapshot = look(store, paths.handle)
    began_at = time.perf_counter()
    diagnose(history_of(workspace, snapshot))
    return read, time.perf_counter() - began_at


def main() -> None:
    """Train them all, print what was found, what helped, and how long diagnosis takes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fixes", action="store_true", help="apply what is proposed, and train again")
    parser.add_argument("--only", nargs="*", default=[""], help="cases whose name holds one of these texts")
    asked = parser.parse_args()
    usual = scaled_learning_rate(TuningMethod.LORA, DEMO_WIDTH)
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        by_task = lanes(Path(folder))
        for case in [*cases(usual), *sound()]:
            if not any(name in case.name for name in asked.only):
                continue
            began_at = time.perf_counter()
            outcome = run(by_task[case.task], case, asked.fixes and bool(case.expected))
            outcomes.append(outcome)
            show(outcome, time.perf_counter() - began_at)
        read, told = (0.0, 0.0) if any(asked.only) else million_lines(Path(folder))
    table(outcomes)
    planted = [outcome for outcome in outcomes if outcome.case.expected]
    false = [outcome.case.name for outcome in outcomes if not outcome.case.expected and outcome.serious]
    print(f"\nplanted faults found: {sum(outcome.found for outcome in planted)} of {len(planted)}")
    print(f"sound runs with a serious finding: {len(false)} of {len(outcomes) - len(planted)} {false or ''}")
    for by, what in (
        ("arguments", "the proposed arguments"),
        ("person", "what a person is asked to put right"),
    ):
        fixed = [one for one in planted if one.fixed is not None and one.case.fixed_by == by]
        better = sum(one.is_better for one in fixed)
        if fixed:
            print(f"golden score better after {what}: {better} of {len(fixed)}")
    if read:
        print(
            f"a journal of {LINES:,} lines: read in {read:.1f} s, diagnosed in {told:.3f} s "
            f"(wanted: 0.5 s), ratio {told / read:.4f}"
        )


if __name__ == "__main__":
    main()

"""What get_status finds wrong with a run that is at work, and the call it proposes."""

from __future__ import annotations

import anyio
import pytest

from tests.support.written_runs import PLAN, began, evaluated, progressed, run_handle, write_run
from tunesmith.jobs import clock, machine
from tunesmith.jobs.executor import LocalExecutor
from tunesmith.jobs.journal import Journal
from tunesmith.jobs.lease import Lease
from tunesmith.jobs.paths import Store
from tunesmith.jobs.snapshot import Observer
from tunesmith.schemas.enums import RunState
from tunesmith.tools.get_status import describe, get_status, status_of
from tunesmith.tools.workspace import Workspace, report_to_nobody

RUN = run_handle(1)
PLANNED = PLAN.model_copy(update={"usual_learning_rate": 2e-4, "reasons": {"learning_rate": "as you asked"}})


@pytest.fixture
def workspace(tmp_path):
    store = Store(tmp_path / "store")
    store.root.mkdir()
    return Workspace(store, LocalExecutor(store), Observer(store), report_to_nobody)


@pytest.fixture
def running(workspace):
    """Begins the run with these events: this process holds its lease."""
    leases = []

    def begin(*events):
        paths = write_run(workspace.store, RUN, [*began(), *events], plan=PLANNED)
        leases.append(Lease.acquire(paths.lease))
        return Journal(paths.journal, attempt=1)

    yield begin
    for lease in leases:
        lease.release()


def falling(*steps):
    return [progressed(step, 60, loss=3.0 - step / 20) for step in steps]


def found(workspace):
    status = status_of(workspace, workspace.observer.look(RUN))
    assert status.state is RunState.RUNNING
    return {finding.code: finding for finding in status.findings}


def test_overfitting_is_told_while_the_run_goes_on_with_the_call_that_ends_it_in_time(workspace, running):
    running(*falling(*range(1, 41)), evaluated(0, 3.0), evaluated(20, 1.5), evaluated(40, 1.8))
    finding = found(workspace)["overfitting"]
    assert finding.evidence == {"lowest": 1.5, "last": 1.8, "best_step": 20, "step": 40}
    assert finding.fix.tool == "configure_lora"
    assert finding.fix.arguments == {
        "base_model": "Qwen/Qwen3-0.6B",
        "dataset_id": PLAN.dataset_id,
        "golden_set_id": PLAN.golden_set_id,
        "learning_rate": 2e-4,
        "max_steps": 20,
        "dropout": 0.1,
    }


def test_what_the_journal_tells_of_rows_prompts_and_memory_reaches_diagnosis(workspace, running):
    journal = running(*falling(*range(1, 31)), evaluated(0, 3.0), evaluated(30, 1.5))
    told = {"tokens": 900, "loss_tokens": 300, "vocabulary": 900}
    journal.append("inputs", rows=100, ended_rows=3, cut_rows=97, memory_bytes=820_000_000, **told)
    losses = {"own_loss": 1.5, "swapped_loss": 1.51, "base_own_loss": 3.0, "base_swapped_loss": 3.8}
    journal.append("prompt_use", step=30, rows=32, **losses)
    assert {"never_stops", "memory_edge", "prompt_ignored"} <= found(workspace).keys()


@pytest.mark.parametrize(("boot_id", "stalled"), [(machine.boot_id(), True), ("another", False)])
def test_only_the_silence_of_a_process_of_this_boot_is_measured(workspace, boot_id, stalled):
    long_ago = clock.boot_s() - 5000
    started = {"event": "started", "attempt": 1, "boot": long_ago, "pid": 6, "boot_id": boot_id}
    paths = write_run(workspace.store, RUN, [started], plan=PLANNED)
    lease = Lease.acquire(paths.lease)
    try:
        assert ("stalled" in found(workspace)) == stalled
    finally:
        lease.release()


def test_a_waiting_call_is_answered_when_something_serious_comes_up(workspace, running):
    journal = running(*falling(*range(1, 31)), evaluated(0, 3.0))

    async def wait_and_break():
        async with anyio.create_task_group() as group:

            async def waits():
                with anyio.fail_after(20):
                    answers.append(await get_status(workspace, RUN, wait_s=15))

            group.start_soon(waits)
            await anyio.sleep(0)  # the call has looked once before anything changes
            for step in range(31, 46):
                journal.append("progress", step=step, total_steps=60, loss=6.0)

    answers = []
    began_at = clock.boot_s()
    anyio.run(wait_and_break)
    assert clock.boot_s() - began_at < 10
    assert "diverged" in {finding.code for finding in answers[0].findings}
    assert "diverged" in describe(answers[0])

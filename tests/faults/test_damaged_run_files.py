"""Each file of a run's folder damaged in each way: status and list always answer, claim nothing that is not so, and a
resumed run goes on from the newest checkpoint that is whole."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from types import SimpleNamespace

import anyio
import pytest

from tests.support.fake_trainer import FakeTraining
from tests.support.fake_trainer_runs import MODULE, FakeRun
from tests.support.tracing import REPOSITORY
from tests.support.waiting import wait_until
from tests.support.written_runs import PLAN
from tunesmith.jobs import ledger_sidecar, run_index
from tunesmith.jobs.executor import LocalExecutor
from tunesmith.jobs.journal import read_events
from tunesmith.jobs.paths import Store
from tunesmith.jobs.snapshot import Observer
from tunesmith.schemas.enums import TrainingMode
from tunesmith.schemas.errors import TunesmithError
from tunesmith.schemas.runs import TrainRequest
from tunesmith.tools.get_status import get_status
from tunesmith.tools.list_runs import list_runs
from tunesmith.tools.workspace import Workspace, report_to_nobody

REQUEST = FakeTraining(total_steps=8, save_steps=2, step_s=0.02)
REFUSED = "refused"
"""Instead of a state: get_status answered with an error of ours."""


def missing(path):
    path.unlink()


def empty(path):
    path.write_bytes(b"")


def half(path):
    os.truncate(path, path.stat().st_size // 2)


def zeroed(path):
    path.write_bytes(b"\0" * path.stat().st_size)


def garbage_tail(path):
    with path.open("ab") as file:
        file.write(b"\x93\xfe{]\0\xff" * 40)


def torn_last_line(path):
    os.truncate(path, max(0, path.stat().st_size - 7))


DAMAGES = [missing, empty, half, zeroed, garbage_tail, torn_last_line]


def named(damage):
    return damage.__name__


@dataclass
class HostlessExecutor(LocalExecutor):
    """Notes what it is asked to start, and starts nothing."""

    def ensure_host(self):
        """Do nothing."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Two runs, one that has succeeded and one that was killed after its second commit; nobody writes to them."""
    store = Store(tmp_path_factory.mktemp("kept") / "store")
    done, killed = (FakeRun.submit(store, REQUEST) for _ in range(2))
    assert done.attempt() == 0
    process = subprocess.Popen([sys.executable, "-m", MODULE, *killed.arguments()], cwd=REPOSITORY)
    wait_until(lambda: killed.journalled_step() >= 4)
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    for handle in (done.handle, killed.handle):
        store.queued(handle).unlink()
    return SimpleNamespace(done=done, killed=killed)


@pytest.fixture
def runs(kept, tmp_path, monkeypatch):
    """A copy of both, for one test."""
    # The runs are small and few; what is derived from them is wanted all the same.
    monkeypatch.setattr(ledger_sidecar, "WORTH_KEEPING_BYTES", 1)
    monkeypatch.setattr(run_index, "WORTH_WRITING", -2)
    store = Store(tmp_path / "store")
    shutil.copytree(kept.done.store.root, store.root)
    return SimpleNamespace(
        store=store,
        done=FakeRun(store, kept.done.handle, REQUEST),
        killed=FakeRun(store, kept.killed.handle, REQUEST),
    )


def as_real_runs(store, *runs):
    """Give the runs the documents that the tools know, and have all derived files made."""
    for run in runs:
        request = TrainRequest(
            plan_id=PLAN.plan_id, mode=TrainingMode.FULL, request_key=None, created_at="2030-01-01T00:00:00Z"
        )
        run.paths.request.write_text(request.model_dump_json())
        run.paths.plan.write_text(PLAN.model_dump_json())
    states(store, *runs)


def states(store, *runs):
    """What a new server says about each run: get_status's state, then list_runs'."""
    workspace = Workspace(store, HostlessExecutor(store), Observer(store), report_to_nobody)
    listed = {run.run_id: run.state for run in anyio.run(list_runs, workspace).runs}
    return [(status_of(workspace, run), str(listed[run.handle])) for run in runs]


def status_of(workspace, run):
    try:
        status = anyio.run(get_status, workspace, run.handle)
    except TunesmithError:
        return REFUSED
    assert status.progress is None or 0 <= status.progress <= 1
    return status.state.value


FILES = [
    "request.json",
    "plan.json",
    "journal.jsonl",
    "lease",
    "result.json",
    "log.txt",
    "adapter/weights.bin",
]
CHECKPOINT = ["manifest.json", "state.json", "weights.bin"]


def file_cases(files):
    return [
        pytest.param(name, damage, id=f"{name}-{damage.__name__}") for name in files for damage in DAMAGES
    ]


@pytest.mark.row("R7")
@pytest.mark.parametrize(("name", "damage"), file_cases(FILES))
def test_a_damaged_file_of_a_finished_run_never_makes_it_look_waiting_or_at_work_or_failed(
    runs, name, damage
):
    as_real_runs(runs.store, runs.done, runs.killed)
    damage(runs.done.paths.folder / name)
    found, other = states(runs.store, runs.done, runs.killed)

    assert set(found) <= {"succeeded", "interrupted", "unreadable", REFUSED}
    assert other == ("interrupted", "interrupted")


@pytest.mark.row("R7")
@pytest.mark.parametrize(("name", "damage"), file_cases(FILES[:4]))
def test_a_damaged_file_of_a_killed_run_never_makes_it_look_finished_or_at_work(runs, name, damage):
    as_real_runs(runs.store, runs.done, runs.killed)
    damage(runs.killed.paths.folder / name)
    found, other = states(runs.store, runs.killed, runs.done)

    assert set(found) <= {"interrupted", "unreadable", REFUSED}
    assert other == ("succeeded", "succeeded")


@pytest.mark.row("R7")
@pytest.mark.parametrize("damage", DAMAGES, ids=named)
@pytest.mark.parametrize("derived", ["ledger", "run_index"])
def test_a_damaged_derived_file_changes_no_answer(runs, derived, damage):
    as_real_runs(runs.store, runs.done, runs.killed)
    path = runs.done.paths.ledger if derived == "ledger" else runs.store.run_index
    damage(path)

    assert states(runs.store, runs.done, runs.killed) == [("succeeded",) * 2, ("interrupted",) * 2]


@pytest.mark.row("R7")
@pytest.mark.parametrize("damage", DAMAGES, ids=named)
def test_a_damaged_stop_request_stops_nothing_that_has_ended(runs, damage):
    as_real_runs(runs.store, runs.done, runs.killed)
    for run in (runs.done, runs.killed):
        run.paths.stop(1).write_text('{"asked_boot_s": 1.0, "grace_s": 60.0}')
        damage(run.paths.stop(1))

    assert states(runs.store, runs.done, runs.killed) == [("succeeded",) * 2, ("interrupted",) * 2]


@pytest.mark.row("R7")
@pytest.mark.parametrize("damage", DAMAGES, ids=named)
@pytest.mark.parametrize("name", CHECKPOINT)
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before_and_is_made_again(runs, name, damage):
    run = runs.killed
    newest = run.committed_step()
    damage(run.paths.checkpoints / f"step-{newest:08d}" / name)
    fallen_back = run.committed_step()
    assert fallen_back == newest - REQUEST.save_steps

    run.resume_here()
    assert run.adapter_is_exact()
    assert run.committed_step() == REQUEST.total_steps
    assert run.look().ledger.checkpoint_step == REQUEST.total_steps


@pytest.mark.row("R7")
@pytest.mark.parametrize("damage", DAMAGES, ids=named)
@pytest.mark.parametrize("name", ["journal.jsonl", "lease", "log.txt", "attempt-2"])
def test_a_run_with_another_file_damaged_still_goes_on_from_its_last_commit_to_the_same_adapter(
    runs, name, damage
):
    run = runs.killed
    committed = run.committed_step()
    if name == "attempt-2":
        run.ask_again()
    damage(run.paths.folder / name)
    run.resume_here()

    assert f"from step {committed} on" in run.paths.journal.read_text(errors="replace")
    assert run.adapter_is_exact()


@pytest.mark.row("R7")
@pytest.mark.parametrize("damage", [missing, empty, zeroed], ids=named)
def test_no_host_begins_a_run_again_by_itself_because_its_journal_is_lost(runs, damage):
    damage(runs.done.paths.journal)
    before = runs.done.paths.adapter.stat().st_mtime_ns
    states(runs.store, runs.done)  # whoever asks may put back into the queue what was never queued
    command = [sys.executable, "-m", "tests.support.fake_trainer_host", str(runs.store.root), "1.5"]
    subprocess.run(command, cwd=REPOSITORY, stdin=subprocess.DEVNULL, timeout=60)

    assert read_events(runs.done.paths.journal) == []
    assert runs.done.paths.adapter.stat().st_mtime_ns == before


STRANGE = {
    "a state of a later version": '{"event":"finished","attempt":1,"state":"archived","error":null}',
    "an error of another shape": '{"event":"finished","attempt":1,"state":"failed","error":{"code":7}}',
    "steps that are no numbers": '{"event":"progress","attempt":1,"step":5,"total_steps":"many","loss":"low"}',
    "figures that are not finite": '{"event":"progress","attempt":1,"step":5,"loss":NaN,"eta_s":Infinity}',
    "a negative step and total": '{"event":"progress","attempt":1,"step":-5,"total_steps":-8,"eta_s":-1}',
    "an attempt that is true": '{"event":"progress","attempt":true,"step":5,"total_steps":8}',
    "a finding without a severity": '{"event":"finding","attempt":1,"code":"x"}',
    "times that are words": '{"event":"started","attempt":1,"t":"now","boot":"then","pid":"me"}',
    "an exit that is a word": '{"event":"exited","attempt":1,"returncode":"bad","oom_kills":"many"}',
    "deep nesting": "[" * 100_000,
}


@pytest.mark.row("R7")
@pytest.mark.parametrize(
    "line",
    [pytest.param(STRANGE[name], id=name) for name in STRANGE],
)
def test_a_strange_line_in_a_journal_keeps_neither_its_own_run_nor_the_others_from_being_told(runs, line):
    as_real_runs(runs.store, runs.done, runs.killed)
    with runs.killed.paths.journal.open("a") as journal:
        journal.write(f"\n{line}\n")
    found, other = states(runs.store, runs.killed, runs.done)

    assert set(found) <= {"interrupted", "failed", "unreadable", REFUSED}
    assert other == ("succeeded", "succeeded")

"""Disks that are full or broken: what is told, what stays, and how it goes on."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.fake_trainer import FakeTraining
from tests.support.fake_trainer_runs import MODULE, FakeRun
from tests.support.tracing import REPOSITORY, calls, require_strace, trace
from tests.support.waiting import wait_until
from tunesmith.jobs.paths import Store
from tunesmith.jobs.reserve import RESERVE_BYTES
from tunesmith.schemas.enums import RunState


class SmallDisk:
    """A tmpfs in a mount namespace of its own, seen through /proc: it is gone with the process that holds it."""

    def __init__(self, folder, size_kib):
        folder.mkdir()
        self._shell = subprocess.Popen(
            ["unshare", "-Urm", "sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._folder = folder
        self._say(f"mount -t tmpfs -o size={size_kib}k,mode=700 tiny {folder}")
        self.root = f"/proc/{self._shell.pid}/root{folder}"

    def grow(self, size_kib):
        self._say(f"mount -o remount,size={size_kib}k {self._folder}")

    def _say(self, command):
        self._shell.stdin.write(f"{command} && echo done || echo refused\n")
        if self._shell.stdout.readline() != "done\n":
            self.close()
            pytest.skip("no file system may be mounted here, not even in a namespace")

    def close(self):
        self._shell.stdin.close()
        self._shell.stdout.close()
        self._shell.wait(10)


@pytest.fixture
def small_disk(tmp_path):
    if subprocess.run(["unshare", "-Urm", "true"], capture_output=True).returncode:
        pytest.skip("user namespaces are not allowed here")
    disk = SmallDisk(tmp_path / "disk", size_kib=RESERVE_BYTES // 1024 + 160)
    yield disk
    disk.close()


def small_store(disk):
    return Store(type(disk._folder)(disk.root) / "store")


@pytest.mark.row("R9")
@pytest.mark.parametrize(
    "request_of",
    [
        # Journal lines fill it, page by page; then not even the terminal event would fit.
        FakeTraining(total_steps=3000, save_steps=100),
        # Checkpoints do: the third one has no room beside the two that are kept until it is committed.
        FakeTraining(total_steps=12, save_steps=2, weights_bytes=60_000),
    ],
    ids=["by the journal", "by checkpoints"],
)
def test_a_disk_that_fills_fails_the_run_as_disk_full_and_with_room_it_goes_on_from_the_last_commit(
    small_disk, request_of
):
    run = FakeRun.submit(small_store(small_disk), request_of)
    assert run.attempt() == 1
    seen = run.look()

    assert (seen.state, seen.error.code) == (RunState.FAILED, "disk_full")
    assert run.committed_step() == run.journalled_step() > 0
    assert not run.paths.reserve.exists()

    small_disk.grow(4096)
    committed = run.committed_step()
    assert run.attempt(run.ask_again()) == 0
    assert run.look().state is RunState.SUCCEEDED
    assert run.adapter_is_exact()
    assert f"from step {committed} on" in run.paths.journal.read_text()


@pytest.mark.row("R9")
def test_a_disk_that_is_full_from_the_start_fails_the_attempt_before_any_step(small_disk):
    run = FakeRun.submit(small_store(small_disk), FakeTraining(total_steps=2, save_steps=1))
    small_disk.grow(RESERVE_BYTES // 1024 - 8)
    run.attempt()
    seen = run.look()

    assert (seen.state, seen.error.code) == (RunState.FAILED, "disk_full")
    assert "step" not in seen.ledger.progress


def test_no_reserve_stays_behind_once_a_run_has_ended(store):
    run = FakeRun.submit(store, FakeTraining(total_steps=2, save_steps=1))
    assert run.attempt() == 0
    assert not run.paths.reserve.exists()


def test_the_reserve_is_held_while_the_work_goes_on_and_is_real_blocks(store):
    run = FakeRun.submit(store, FakeTraining(total_steps=600, save_steps=600, step_s=0.05))
    process = subprocess.Popen([sys.executable, "-m", MODULE, *run.arguments()], cwd=REPOSITORY)
    wait_until(lambda: run.look().ledger.progress)

    held = run.paths.reserve.stat()
    assert (held.st_size, held.st_blocks * 512 >= RESERVE_BYTES) == (RESERVE_BYTES, True)
    process.terminate()
    assert process.wait(20) == 0
    assert run.look().state is RunState.STOPPED


@pytest.mark.row("R9")
def test_a_journal_that_takes_nothing_more_leaves_the_run_interrupted_and_resumable(store, tmp_path):
    require_strace()
    run = FakeRun.submit(store, FakeTraining(total_steps=4, save_steps=1))
    run.paths.journal.touch()
    refused = [
        "write:error=ENOSPC:when=7+"
    ]  # started, phase, three steps of which two are told to be committed
    ended = trace(tmp_path / "log", MODULE, *run.arguments(), inject=refused, only=run.paths.journal)
    seen = run.look()

    assert ended.returncode == 1
    assert (seen.state, seen.error.code) == (RunState.INTERRUPTED, "interrupted")
    assert run.journalled_step() == 2
    assert run.committed_step() in (2, 3)
    run.resume_here()
    assert run.adapter_is_exact()


def failing_fsync(store, log, call):
    """What is wrong after the disk has refused this sync; nothing, if all is well."""
    run = FakeRun.submit(store, FakeTraining(total_steps=3, save_steps=1))
    trace(log, MODULE, *run.arguments(), inject=[f"fsync:error=EIO:when={call.number}"])
    seen = run.look()
    if (seen.state, seen.error and seen.error.code) != (RunState.FAILED, "storage_failed"):
        return f"{call}: {seen.state} {seen.error}"
    newest = run.committed_step()
    # Step 2's content is only believed when all of it has been synced: then its manifest is there.
    if newest not in (1, 2) or (newest == 2 and not call.path.endswith(("step-00000002", "journal.jsonl"))):
        return f"{call}: {newest} is committed"
    if not (run.paths.checkpoints / "step-00000001" / "manifest.json").exists():
        return f"{call}: the older checkpoint is gone"
    run.resume_here()
    return None if run.adapter_is_exact() else f"{call}: the resumed run's adapter is another one"


@pytest.mark.row("R10")
def test_a_commit_whose_sync_is_refused_does_not_count_fails_the_run_and_keeps_the_older_one(store, tmp_path):
    require_strace()
    whole = FakeRun.submit(store, FakeTraining(total_steps=3, save_steps=1))
    trace(tmp_path / "log", MODULE, *whole.arguments())
    found = calls(tmp_path / "log")
    told = [
        at for at, call in enumerate(found) if call.name == "write" and '\\"checkpoint\\"' in call.arguments
    ]
    syncs = [call for call in found[told[0] + 2 : told[1] + 2] if call.name == "fsync"]

    assert (
        len(syncs) == 7
    )  # two files, their folder, the checkpoints' folder, the manifest, its folder, the journal
    with ThreadPoolExecutor(2) as two:
        wrong = two.map(lambda one: failing_fsync(store, tmp_path / f"log-{one.number}", one), syncs)
        assert [told for told in wrong if told] == []


@pytest.mark.row("R10")
def test_a_disk_that_refuses_every_sync_fails_the_run_loudly_and_commits_nothing(store, tmp_path):
    require_strace()
    run = FakeRun.submit(store, FakeTraining(total_steps=2, save_steps=1))
    trace(tmp_path / "log", MODULE, *run.arguments(), inject=["fsync:error=EIO:when=3+"])
    seen = run.look()

    assert (seen.state, seen.error.code) == (RunState.FAILED, "storage_failed")
    assert run.committed_step() == 0

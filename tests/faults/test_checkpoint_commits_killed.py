"""A kill -9 right before each call that changes the disk while a checkpoint is committed."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.support.fake_trainer import FakeTraining
from tests.support.fake_trainer_runs import MODULE, FakeRun
from tests.support.tracing import Call, calls, require_strace, trace
from tunesmith.jobs.paths import Store
from tunesmith.schemas.enums import RunState

REQUEST = FakeTraining(total_steps=4, save_steps=1)
STEP = 3
"""Its commit is the first that drops an older checkpoint."""


@dataclass(frozen=True)
class Commit:
    """The calls of step 3's commit, from its first file to the event that tells of it, and the two that count."""

    calls: list[Call]

    @classmethod
    def among(cls, found: list[Call]) -> Commit:
        changes = [call for call in found if call.changes]
        first = next(at for at, call in enumerate(changes) if call.path.endswith(f"/checkpoint-{STEP}"))
        told = next(at for at, call in enumerate(changes) if at > first and is_checkpoint_event(call))
        return cls(changes[first : told + 2])

    @property
    def manifest(self) -> int:
        """Which call gives the manifest its name."""
        return next(
            at
            for at, call in enumerate(self.calls)
            if call.name == "rename" and call.path.endswith("manifest.json")
        )

    @property
    def told(self) -> int:
        """Which call writes the journal's event."""
        return next(at for at, call in enumerate(self.calls) if is_checkpoint_event(call))


def is_checkpoint_event(call):
    return call.name == "write" and '\\"checkpoint\\"' in call.arguments


def kill_before(run, attempt, log, commit, at):
    """What is wrong with a run that is killed right before the call; nothing, if all is well."""
    call = commit.calls[at]
    trace(log, MODULE, *run.arguments(attempt), inject=[f"{call.name}:signal=KILL:when={call.number}"])
    last = calls(log)[-1]
    if (last.name, last.number, last.result) != (call.name, call.number, None):
        return f"{call}: not killed there, but at {last}"
    if run.look().state is not RunState.INTERRUPTED:
        return f"{call}: {run.look().state}"
    wanted = tuple(STEP if at > counting else STEP - 1 for counting in (commit.manifest, commit.told))
    found = run.committed_step(), run.journalled_step()
    if found != wanted:
        return f"{call}: (committed, journalled) is {found} and not {wanted}"
    run.resume_here()
    return None if run.adapter_is_exact() else f"{call}: the resumed run's adapter is another one"


def all_wrong(commit, kill):
    with ThreadPoolExecutor(2) as two:
        return [message for message in two.map(kill, range(len(commit.calls))) if message]


@pytest.mark.row("R1", "R2")
def test_a_commit_killed_before_any_of_its_calls_counts_from_its_manifest_on_and_loses_nothing(
    store, tmp_path
):
    require_strace()
    whole = FakeRun.submit(store, REQUEST)
    trace(tmp_path / "log", MODULE, *whole.arguments())
    commit = Commit.among(calls(tmp_path / "log"))

    assert whole.adapter_is_exact()
    names = {call.name for call in commit.calls}
    assert {"openat", "write", "fsync", "rename", "mkdir", "unlink", "unlinkat"} <= names

    def kill(at):
        return kill_before(FakeRun.submit(store, REQUEST), 1, tmp_path / f"log-{at}", commit, at)

    assert all_wrong(commit, kill) == []


@pytest.mark.row("R2")
def test_a_commit_over_what_a_killed_one_left_may_be_killed_before_any_of_its_calls_too(store, tmp_path):
    require_strace()
    trace(tmp_path / "log", MODULE, *FakeRun.submit(store, REQUEST).arguments())
    commit = Commit.among(calls(tmp_path / "log"))
    renamed = commit.calls[commit.manifest].number
    torn = FakeRun.submit(store, REQUEST)
    trace(tmp_path / "log", MODULE, *torn.arguments(), inject=[f"rename:signal=KILL:when={renamed}"])
    assert (torn.paths.checkpoints / f"step-{STEP:08d}").is_dir()
    assert torn.committed_step() == STEP - 1
    torn.ask_again()

    def copy(name):
        return FakeRun(Store(shutil.copytree(store.root, tmp_path / name)), torn.handle, REQUEST)

    whole = copy("whole")
    trace(tmp_path / "log", MODULE, *whole.arguments(2))
    assert whole.adapter_is_exact()
    again = Commit.among(calls(tmp_path / "log"))

    def kill(at):
        return kill_before(copy(f"store-{at}"), 2, tmp_path / f"log-{at}", again, at)

    assert all_wrong(again, kill) == []

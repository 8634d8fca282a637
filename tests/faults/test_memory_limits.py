"""Memory that runs out: the kernel's own out-of-memory killer, in a control group with a small limit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.fake_trainer import FakeTraining
from tests.support.fake_trainer_runs import FakeRun
from tests.support.tracing import REPOSITORY
from tests.support.waiting import wait_until
from tunesmith.jobs.lease import holder
from tunesmith.schemas.enums import RunState

LIMIT_MIB = 400
MEMORY_V1 = Path("/sys/fs/cgroup/memory")
CORE_V2 = Path("/sys/fs/cgroup")


@pytest.fixture
def group():
    """A control group whose processes together get LIMIT_MIB of memory and no swap."""
    if os.geteuid() != 0:
        pytest.skip("only root may make control groups")
    version_1 = (MEMORY_V1 / "memory.limit_in_bytes").exists()
    folder = (MEMORY_V1 if version_1 else CORE_V2) / f"tunesmith-test-{os.getpid()}"
    try:
        folder.mkdir()
        limit = "memory.limit_in_bytes" if version_1 else "memory.max"
        (folder / limit).write_text(str(LIMIT_MIB * 2**20))
    except OSError as error:
        if folder.is_dir():
            folder.rmdir()
        pytest.skip(f"no control group with a memory limit can be made here ({error.strerror})")
    yield folder
    wait_until(lambda: (folder / "cgroup.procs").read_text() == "")
    wait_until(lambda: removed(folder))


def removed(folder):
    try:
        folder.rmdir()
    except OSError:  # the kernel has not done with its last process
        return False
    return True


def start_host_within(group, hosted):
    """A host of fake trainings that is in the group from its first instruction on, as are its jobs."""
    command = [sys.executable, "-m", "tests.support.fake_trainer_host", str(hosted.store.root), "60"]
    host = subprocess.Popen(
        ["sh", "-c", 'echo $$ > "$0/cgroup.procs" && exec "$@"', str(group), *command],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    hosted.hosts.append(host)
    return host


def ended(run):
    """How the run stands once the host has told how its process ended."""
    return wait_until(run.look, lambda seen: seen.ledger.returncode is not None, within_s=60)


@pytest.mark.row("R11")
def test_a_run_that_the_system_ends_for_want_of_memory_has_failed_out_of_memory_with_advice(group, hosted):
    run = FakeRun.submit(hosted.store, FakeTraining(total_steps=60, save_steps=1, hoarded_mib_a_step=40))
    start_host_within(group, hosted)
    seen = ended(run)

    assert seen.ledger.returncode == -signal.SIGKILL
    assert run.committed_step() == run.journalled_step() > 0
    assert (seen.state, seen.error.code) == (RunState.FAILED, "out_of_memory")
    assert "batch_size" in seen.error.recovery


@pytest.mark.row("R11", "R1")
def test_a_run_in_the_same_group_that_somebody_kills_is_interrupted_and_memory_is_not_blamed(group, hosted):
    run = FakeRun.submit(hosted.store, FakeTraining(total_steps=6000, save_steps=10, step_s=0.01))
    start_host_within(group, hosted)
    wait_until(lambda: run.journalled_step() > 0)
    os.kill(holder(run.paths.lease), signal.SIGKILL)
    seen = ended(run)

    assert seen.state is RunState.INTERRUPTED
    assert "signal 9" in seen.error.message


@pytest.mark.row("R11")
def test_the_kernels_count_of_a_group_rises_with_each_process_that_it_ends_for_want_of_memory(
    group, tmp_path
):
    asking = "from tunesmith.jobs.oom import oom_kills; print(oom_kills())"
    hoarding = f"hoard = [b'x' * 2**20 for _ in range({LIMIT_MIB + 100})]"
    script = f'echo $$ > "{group}/cgroup.procs"; "$0" -c "{asking}"; "$0" -c "{hoarding}"; echo $?; "$0" -c "{asking}"'
    told = subprocess.run(
        ["sh", "-c", script, sys.executable], capture_output=True, text=True, check=True
    ).stdout

    before, status, after = told.split()
    assert (int(status), int(after) - int(before)) == (128 + signal.SIGKILL, 1)


@pytest.mark.row("R11")
def test_an_allocation_that_is_refused_is_told_as_out_of_memory_by_the_run_itself(store):
    run = FakeRun.submit(store, FakeTraining(total_steps=60, save_steps=1, hoarded_mib_a_step=40))
    limited = f'ulimit -v {LIMIT_MIB * 1024}; exec "$0" -m tests.support.fake_trainer "$@"'
    subprocess.run(["sh", "-c", limited, sys.executable, *run.arguments()], cwd=REPOSITORY, timeout=60)
    seen = run.look()

    assert (seen.state, seen.error.code) == (RunState.FAILED, "out_of_memory")
    assert run.committed_step() == run.journalled_step() > 0

"""The order of writes, syncs and renames, read from strace: what has been told to be safe survives a power failure."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.durability import Disk
from tests.support.fake_trainer import FakeTraining
from tests.support.fake_trainer_runs import MODULE, FakeRun
from tests.support.tracing import calls, require_strace, trace
from tunesmith.jobs.paths import Store
from tunesmith.schemas.enums import Work

REQUEST = FakeTraining(total_steps=2, save_steps=1)
SUBMIT = "tests.support.submit_fake_training"


@pytest.fixture
def traced(store, tmp_path):
    require_strace()
    run = FakeRun.submit(store, REQUEST)
    trace(tmp_path / "log", MODULE, *run.arguments())
    assert run.adapter_is_exact()
    return run, calls(tmp_path / "log")


def journalled(found, event):
    """After which calls the journal has told of the event, durably."""
    told = [
        at for at, call in enumerate(found) if call.name == "write" and f'\\"{event}\\"' in call.arguments
    ]
    return [next(at for at in range(one, len(found)) if found[at].name == "fsync") for one in told]


def at_risk(run, found, until, *paths):
    disk = Disk(run.store.root)
    for call in found[: until + 1]:
        disk.take(call)
    return disk.at_risk(*paths)


@pytest.mark.row("R8")
def test_a_commit_syncs_files_then_renames_then_syncs_the_folder_then_writes_the_manifest_and_tells_last(
    traced,
):
    run, found = traced
    final = run.paths.checkpoints / "step-00000002"
    made = next(call.source for call in found if call.name == "rename" and call.path == str(final))
    wanted = [
        ("fsync", f"{made}/weights.bin"),
        ("fsync", made),
        ("rename", str(final)),
        ("fsync", str(run.paths.checkpoints)),
        ("fsync", f"{final}/.manifest.json."),
        ("rename", f"{final}/manifest.json"),
        ("fsync", str(final)),
        ("write", str(run.paths.journal)),
        ("fsync", str(run.paths.journal)),
    ]
    at = 0
    for name, path in wanted:
        later = [n for n in range(at, len(found)) if found[n].name == name and found[n].path.startswith(path)]
        assert later, f"no {name} of {path} after {found[at - 1]}"
        at = later[0] + 1


@pytest.mark.row("R8")
@pytest.mark.parametrize("step", [1, 2])
def test_a_checkpoint_that_the_journal_tells_of_survives_a_power_failure(traced, step):
    run, found = traced
    told = journalled(found, "checkpoint")[step - 1]

    assert at_risk(run, found, told, run.paths.checkpoints / f"step-{step:08d}") == []


@pytest.mark.row("R8")
def test_adapter_and_result_survive_a_power_failure_once_the_run_has_finished(traced):
    run, found = traced
    finished = journalled(found, "finished")[0]

    assert at_risk(run, found, finished, run.paths.adapter, run.paths.result) == []


@pytest.mark.row("R8")
def test_the_journal_itself_survives_a_power_failure_from_its_first_durable_event_on(traced):
    run, found = traced

    assert at_risk(run, found, journalled(found, "started")[0], run.paths.journal) == []


@pytest.mark.row("R8")
def test_a_run_that_was_submitted_survives_a_power_failure_with_its_place_in_the_queue(tmp_path):
    require_strace()
    store = Store(tmp_path / "store")
    trace(tmp_path / "log", SUBMIT, str(store.root))
    (handle,) = store.handles(Work.TRAIN)
    disk = Disk(tmp_path)
    for call in calls(tmp_path / "log"):
        disk.take(call)

    assert disk.at_risk(store.handle(handle).folder, store.queued(handle)) == []


@pytest.mark.row("R8")
def test_a_file_is_replaced_by_sync_rename_and_sync_of_the_folder(tmp_path):
    require_strace()
    write = "from tunesmith.jobs.files import write_bytes; from pathlib import Path; import sys; "
    script = tmp_path / "write_once.py"
    script.write_text(f"{write}write_bytes(Path(sys.argv[1]), b'x')\n")
    target = tmp_path / "file"
    log = tmp_path / "log"
    command = [
        "strace",
        "-f",
        "-y",
        "-o",
        str(log),
        "-e",
        "trace=write,fsync,rename",
        sys.executable,
        str(script),
    ]
    subprocess.run([*command, str(target)], check=True)

    order = [(call.name, call.path) for call in calls(log) if str(tmp_path) in call.path]
    (temporary,) = {path for name, path in order if name == "write"}
    wanted = [("write", temporary), ("fsync", temporary), ("rename", str(target)), ("fsync", str(tmp_path))]
    assert order == wanted

"""`tunesmith runs prune` and `runs --disk` over real stores: what goes, what stays, and what a kill leaves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.ended_runs import CHECKPOINT_BYTES, contents, make_plan, make_run
from tests.support.server import environment
from tests.support.tracing import require_strace
from tests.support.waiting import wait_until
from tunesmith.jobs import lease, submission
from tunesmith.jobs.disk import use_of
from tunesmith.jobs.journal import Journal
from tunesmith.jobs.paths import Store
from tunesmith.jobs.process import EXIT_LEASE_TAKEN
from tunesmith.schemas.enums import Half, Work
from tunesmith.schemas.evaluations import EvaluateRequest, ModelReference
from tunesmith.schemas.handles import new_handle
from tunesmith.tools.wording import size

REPOSITORY = Path(__file__).parents[2]
TUNESMITH = [sys.executable, "-P", "-m", "tunesmith"]
DAY_S = 86400.0
AT_WORK = (
    "import sys, os; from pathlib import Path; from tunesmith.jobs.lease import Lease; "
    "held = Lease.acquire(Path(sys.argv[1])); print(held is not None, flush=True); sys.stdin.read()"
)
"""Holds a lease until its standard input ends."""
ON_A_SMALL_DISK = """
import sys
from pathlib import Path
from tests.support.ended_runs import make_plan, make_run
from tunesmith.jobs.paths import Store
from tunesmith.jobs.room import require_room
from tunesmith.schemas.errors import DiskFull
store, plan = Store(Path(sys.argv[1])), make_plan({"gradients": 30000, "optimizer": 60000})
if sys.argv[2] == "fill":
    for _ in range(3):
        make_run(store, "succeeded", steps=(1, 2, 3, 4, 5))
try:
    require_room(store, plan)
except DiskFull as error:
    sys.exit(str(error))
"""


class at_work:
    """A process that holds a lease for as long as the block lasts."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", AT_WORK, str(self.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout.readline() == b"True\n"
        return self.process

    def __exit__(self, *_):
        self.process.communicate(timeout=10)


@pytest.fixture
def store(store_path):
    return Store(store_path)


def prune(store, *arguments, before=()):
    """The command, in a process of its own."""
    return subprocess.run(
        [*before, *TUNESMITH, "runs", "prune", *arguments],
        capture_output=True,
        text=True,
        env=environment(store.root),
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


def everything(store):
    """Every path below the store."""
    return sorted(str(path.relative_to(store.root)) for path in store.root.rglob("*"))


def aged(path, age_s):
    """`path` and all below it, last changed so long ago."""
    when = time.time() - age_s
    for each in [path, *path.rglob("*")]:
        os.utime(each, (when, when), follow_symlinks=False)


def test_without_yes_it_shows_what_would_go_and_changes_nothing(store):
    run = make_run(store, "succeeded")
    run.scratch.mkdir()
    before = everything(store)
    answer = prune(store)
    assert answer.returncode == 0, answer.stderr
    assert f"checkpoints: {run.handle}\n" in answer.stdout
    assert f"scratch: {run.handle}/scratch\n" in answer.stdout
    assert use_of([run.checkpoints]).freed_bytes >= 2 * CHECKPOINT_BYTES
    assert f"{size(use_of([run.checkpoints]).freed_bytes)}  checkpoints: " in answer.stdout
    assert "2 things, " in answer.stdout
    assert "cannot be continued with more epochs" in answer.stdout
    assert answer.stdout.endswith("Nothing has been removed. To remove it: tunesmith runs prune --yes\n")
    assert everything(store) == before


def test_checkpoints_of_succeeded_runs_go_and_all_else_of_every_run_stays(store):
    done = make_run(store, "succeeded")
    others = [make_run(store, state) for state in ("failed", "stopped", "interrupted", "queued")]
    for run in others[:-1]:  # as one that was finished once, and asked for more epochs
        run.adapter.mkdir()
    before = [contents(run) for run in (done, *others)]
    answer = prune(store, "--yes")
    assert answer.returncode == 0, answer.stderr
    assert not done.checkpoints.exists()
    kept = {name: content for name, content in before[0].items() if not name.startswith("checkpoints/")}
    assert "adapter/adapter_model.safetensors" in kept
    assert contents(done) == kept
    assert [contents(run) for run in others] == before[1:]
    assert prune(store).stdout == "0 things, 0 B.\n"


def test_what_crashes_leave_goes_and_what_is_being_made_stays(store):
    run = make_run(store, "interrupted")
    run.scratch.mkdir()
    run.reserve.write_bytes(b"x")
    lost = run.folder / ".result.json.0a1b2c3d.tmp"
    lost.touch()
    runs = store.folder_of(Work.TRAIN)
    left, fresh, held = (runs / f".new-{new_handle(Work.TRAIN)}-{name}" for name in ("a", "b", "c"))
    for folder in (left, fresh, held):
        folder.mkdir()
        (folder / "request.json").touch()
    (held / "lease").touch()
    for folder in (left, held):
        aged(folder, 2 * DAY_S)
    (store.queue / ".run-x.0a1b2c3d.tmp").touch()
    aged(store.queue / ".run-x.0a1b2c3d.tmp", DAY_S)
    (store.queue / ".run-y.0a1b2c3d.tmp").touch()
    with at_work(held / "lease"):
        answer = prune(store, "--yes")
    assert answer.returncode == 0, answer.stderr
    for gone in (run.scratch, run.reserve, lost, left, store.queue / ".run-x.0a1b2c3d.tmp"):
        assert not gone.exists(), gone
    for here in (fresh, held, store.queue / ".run-y.0a1b2c3d.tmp", run.checkpoints / "step-00000020"):
        assert here.exists(), here


@pytest.mark.parametrize(
    "arguments", [(), ("RUN",), ("--state", "interrupted,failed,stopped"), ("--older-than", "0h")]
)
def test_a_run_at_work_is_not_touched(store, arguments):
    run = make_run(store, "queued")
    Journal(run.journal, 1).append("claimed", host_pid=1)
    Journal(run.journal, 1).append("started", pid=1)
    run.scratch.mkdir()
    (run.scratch / "weights").write_bytes(b"x")
    (run.checkpoints / "step-00000001").mkdir(parents=True)
    before = contents(run)
    with at_work(run.lease) as process:
        before["lease"] = b""
        answer = prune(store, *(run.handle if word == "RUN" else word for word in arguments), "--yes")
        assert lease.holder(run.lease) == process.pid
        assert contents(run) == before
    assert answer.returncode == 0, answer.stderr
    if arguments in (("RUN",), ("--older-than", "0h")):
        assert f"stays: {run.handle} (process {process.pid} is at work on it)" in answer.stdout


def test_a_finished_run_whose_process_has_not_left_yet_is_not_touched(store):
    run = make_run(store, "succeeded")
    before = contents(run)
    with at_work(run.lease):
        assert prune(store, "--yes").stdout == "0 B freed.\n"
    assert contents(run) == before


def test_whole_runs_go_by_handle_state_and_age(store):
    old, young = make_run(store, "failed"), make_run(store, "failed")
    stopped, named = make_run(store, "stopped"), make_run(store, "succeeded")
    for run in (old, stopped):
        aged(run.folder, 40 * DAY_S)
    shown = prune(store, "--state", "failed,stopped", "--older-than", "30d").stdout
    assert old.handle in shown and stopped.handle in shown and young.handle not in shown
    assert "gone as a whole, with their adapters" in shown
    assert shown.endswith("tunesmith runs prune --state failed,stopped --older-than 30d --yes\n")
    prune(store, "--state", "failed", "--older-than", "30d", "--yes")
    assert (old.folder.exists(), young.folder.exists(), stopped.folder.exists()) == (False, True, True)
    prune(store, "--older-than", "30d", "--yes")
    assert not stopped.folder.exists()
    prune(store, named.handle, "--yes")
    assert not named.folder.exists()
    assert store.handles(Work.TRAIN) == [young.handle]
    assert len(list(young.checkpoints.iterdir())) == 2


@pytest.mark.parametrize("ended", ["rename", "fsync", "unlinkat", "rmdir"])
@pytest.mark.parametrize("whole", [False, True], ids=["checkpoints", "run"])
def test_a_prune_that_is_killed_leaves_no_half_run_and_the_next_one_finishes(store, ended, whole):
    require_strace()
    run, other = make_run(store, "succeeded"), make_run(store, "failed")
    arguments = [run.handle] if whole else []
    number = {"rename": 1, "fsync": 1, "unlinkat": 2, "rmdir": 1}[ended]
    call = "unlinkat" if ended == "rmdir" else ended
    number = 3 if ended == "rmdir" else number
    kill = [
        "strace",
        "-f",
        "-qq",
        "-o",
        os.devnull,
        "-e",
        f"trace={call}",
        "-e",
        f"inject={call}:signal=KILL:when={number}",
    ]
    before, others = contents(run), contents(other)
    assert prune(store, *arguments, "--yes", before=kill).returncode != 0

    target = run.folder if whole else run.checkpoints
    doomed = [path for path in target.parent.iterdir() if path.name.startswith(".pruned-")]
    if target.exists():
        assert not doomed and contents(run) == before
    else:
        assert len(doomed) == 1
    if whole:
        assert store.handles(Work.TRAIN).count(run.handle) == (1 if target.exists() else 0)
    again = prune(store, "--yes") if doomed else prune(store, *arguments, "--yes")
    assert again.returncode == 0, again.stderr
    assert not target.exists()
    assert not list(store.root.rglob(".pruned-*"))
    assert run.adapter.exists() != whole
    assert contents(other) == others


def test_an_attempt_that_begins_while_its_run_is_pruned_meets_a_held_lease(store):
    require_strace()
    run = make_run(store, "succeeded")
    slow = [
        "strace",
        "-f",
        "-qq",
        "-o",
        os.devnull,
        "-e",
        "trace=unlinkat",
        "-e",
        "inject=unlinkat:delay_enter=3000000:when=1",
    ]
    pruning = subprocess.Popen(
        [*slow, *TUNESMITH, "runs", "prune", "--yes"],
        env=environment(store.root),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        wait_until(lambda: list(run.folder.glob(".pruned-*")))
        assert lease.holder(run.lease) is not None
        attempt = subprocess.run(
            [sys.executable, "-m", "tests.support.fake_trainer", str(store.root), run.handle, "2"],
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            timeout=60,
        )
        assert list(run.folder.glob(".pruned-*")), "the prune was over before the attempt had begun"
    finally:
        told = pruning.communicate(timeout=60)[0]
    assert attempt.returncode == EXIT_LEASE_TAKEN
    assert told.startswith(b"removed ") and not run.checkpoints.exists()
    assert lease.holder(run.lease) is None


@pytest.mark.row("S7")
def test_links_in_the_store_are_not_followed(store, tmp_path):
    outside = tmp_path / "outside"
    (outside / "step-00000010").mkdir(parents=True)
    (outside / "step-00000010" / "precious").write_bytes(b"x")
    linked, scratched, whole = (make_run(store, "succeeded") for _ in range(3))
    for path in (linked.checkpoints, scratched.checkpoints, whole.checkpoints):
        shutil.rmtree(path)
    linked.checkpoints.symlink_to(outside)
    scratched.scratch.symlink_to(outside)
    (whole.folder / "link").symlink_to(outside)
    moved = make_run(store, "succeeded")
    moved.folder.rename(tmp_path / moved.handle)
    moved.folder.symlink_to(tmp_path / moved.handle)
    (store.folder_of(Work.TRAIN) / f".new-{new_handle(Work.TRAIN)}-x").symlink_to(outside)
    (store.folder_of(Work.TRAIN) / ".pruned-x").symlink_to(outside)
    assert prune(store, "--yes").stdout == "0 B freed.\n"
    answer = prune(store, whole.handle, "--yes")
    assert answer.returncode == 0 and not whole.folder.exists()
    assert prune(store, moved.handle, "--yes").returncode == 2
    assert (outside / "step-00000010" / "precious").read_bytes() == b"x"
    assert (tmp_path / moved.handle / "checkpoints" / "step-00000010").is_dir()
    assert linked.checkpoints.is_symlink() and scratched.scratch.is_symlink()


@pytest.mark.row("S7")
def test_a_lease_that_is_a_link_keeps_its_run(store, tmp_path):
    run = make_run(store, "succeeded")
    run.lease.unlink()
    run.lease.symlink_to(tmp_path / "elsewhere")
    answer = prune(store, run.handle, "--yes")
    assert f"stays: {run.handle} (a link is where" in answer.stdout
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.row("R19")
@pytest.mark.parametrize("damage", ["request.json", "plan.json"])
def test_a_run_that_cannot_be_read_goes_only_when_it_is_named(store, damage):
    run = make_run(store, "failed")
    (run.folder / damage).write_bytes(b'{"schema_version": 99}')
    run.scratch.mkdir()
    aged(run.folder, 40 * DAY_S)
    before = contents(run)
    for arguments in ((), ("--state", "failed"), ("--older-than", "30d")):
        assert prune(store, *arguments, "--yes").returncode == 0
        assert contents(run) == before and run.scratch.exists()
    assert "removed" in prune(store, run.handle, "--yes").stdout
    assert not run.folder.exists()


@pytest.mark.row("R19")
def test_folders_that_are_no_runs_are_not_touched(store):
    make_run(store, "succeeded")
    foreign = store.folder_of(Work.TRAIN) / "my-own-things"
    (foreign / "scratch").mkdir(parents=True)
    (foreign / "checkpoints").mkdir()
    aged(foreign, 90 * DAY_S)
    prune(store, "--yes")
    prune(store, "--older-than", "30d", "--yes")
    assert (foreign / "scratch").is_dir() and (foreign / "checkpoints").is_dir()


def test_a_run_that_another_one_goes_on_from_stays(store):
    first = make_run(store, "succeeded")
    second = make_run(
        store,
        "failed",
        make_plan(base_model="mine", base_model_kind="local", base_model_path=str(first.adapter)),
    )
    before = contents(first)
    for arguments in ((), (first.handle,)):
        told = prune(store, *arguments, "--yes").stdout
        assert f"stays: {first.handle} ({second.handle} goes on from it)" in told
        assert contents(first) == before
    prune(store, second.handle, "--yes")
    prune(store, first.handle, "--yes")
    assert not first.folder.exists()


def test_a_run_that_is_being_evaluated_stays(store):
    run = make_run(store, "succeeded")
    evaluation = new_handle(Work.EVALUATE)
    request = EvaluateRequest(
        model=ModelReference(kind="run", name=run.handle, path=None),
        golden_set_id=new_handle(Work.BUILD_GOLDEN_SET),
        half=Half.DEV,
        metrics=[],
    )
    submission.create(store, evaluation, request)
    told = prune(store, run.handle, "--yes").stdout
    assert f"stays: {run.handle} ({evaluation} is at work with it)" in told
    assert run.adapter.is_dir()


def test_disk_tells_what_each_run_takes_the_largest_first(store):
    small, large = make_run(store, "failed", steps=(1,)), make_run(store, "succeeded", steps=(1, 2, 3))
    os.link(
        large.checkpoints / "step-00000001" / "optimizer.pt", large.checkpoints / "step-00000001" / "again.pt"
    )
    answer = subprocess.run(
        [*TUNESMITH, "runs", "--disk"],
        capture_output=True,
        text=True,
        env=environment(store.root),
        timeout=60,
    )
    assert answer.returncode == 0, answer.stderr
    first, second, total = answer.stdout.splitlines()
    assert first.startswith(large.handle) and "succeeded: 3 checkpoints 1" in first
    assert f"adapter {size(use_of([large.adapter]).taken_bytes)}" in first
    assert f" {size(use_of([large.folder]).taken_bytes)}  " in first
    assert second.startswith(small.handle) and "failed: 1 checkpoints" in second
    assert total.startswith("2 runs take ") and total.endswith(" free.")


def test_disk_finds_words(store):
    small, large = make_run(store, "failed"), make_run(store, "succeeded")
    told = subprocess.run(
        [*TUNESMITH, "runs", "--disk", "failed"],
        capture_output=True,
        text=True,
        env=environment(store.root),
        timeout=60,
    ).stdout
    assert small.handle in told and large.handle not in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--state", "running"), "'running' is none of succeeded, failed, stopped, interrupted"),
        (("--older-than", "soon"), "'soon' is no age such as 12h, 30d or 2w"),
        (("run-aaaaaaaaaaaaaaaa",), "unknown_handle: There is no run run-aaaaaaaaaaaaaaaa"),
        (("../..",), "invalid_argument: ../.. is not a run's handle."),
    ],
)
def test_what_names_no_run_is_refused_in_words_and_nothing_goes(store, arguments, told):
    run = make_run(store, "succeeded")
    before = contents(run)
    answer = prune(store, *arguments, "--yes")
    assert answer.returncode == 2
    assert told in answer.stderr and "Traceback" not in answer.stderr
    assert contents(run) == before


def test_a_store_that_is_not_there_has_nothing_to_prune_and_is_not_made(tmp_path):
    store = Store(tmp_path / "store")
    assert prune(store, "--yes").stdout == "0 B freed.\n"
    assert not store.root.exists()


@pytest.mark.row("R9")
def test_a_full_disk_refuses_a_run_until_what_the_refusal_names_is_pruned(tmp_path):
    if subprocess.run(["unshare", "-Urm", "true"], capture_output=True).returncode:
        pytest.skip("a mount namespace of one's own (unshare -Urm) is not allowed here")
    mounted = tmp_path / "small"
    mounted.mkdir()
    asking = tmp_path / "ask_for_room.py"
    asking.write_text(ON_A_SMALL_DISK)
    script = """
        mount -t tmpfs -o size=1m tmpfs "$1" && "$2" "$3" "$1/store" fill
        echo first $?
        TUNESMITH_HOME="$1/store" "$2" -P -m tunesmith runs prune --yes
        "$2" "$3" "$1/store" look
        echo then $?
    """
    answer = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", script, "sh", str(mounted), sys.executable, str(asking)],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert "disk_full: The store's disk has " in answer.stderr, answer.stdout + answer.stderr
    assert "two checkpoints and one being written (" in answer.stderr
    assert "Run tunesmith runs prune --yes on that machine, which frees " in answer.stderr
    assert answer.stdout.splitlines()[0] == "first 1"
    assert answer.stdout.splitlines()[-1] == "then 0"

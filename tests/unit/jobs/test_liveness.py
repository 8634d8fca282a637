"""Whether an attempt's process lives: known, or said to be unknown."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.support.waiting import wait_until
from tunesmith.jobs import lease, machine
from tunesmith.jobs.lease import Liveness, Look
from tunesmith.jobs.liveness import judge

FREE, GONE = Look(Liveness.DEAD), Look(Liveness.DEAD, missing=True)
HERE = {
    "pid": os.getpid(),
    "birth": machine.birth(os.getpid()),
    "node": machine.node(),
    "boot_id": machine.boot_id(),
}
ELSEWHERE = {**HERE, "node": "another", "boot_id": "0000"}
REBOOTED = {**HERE, "boot_id": "0000"}

ROOT = "24 1 0:22 / / rw - ext4 /dev/vda rw\n"
MOUNTS = {
    "nfs4": ROOT + "30 24 0:40 / {store} rw - nfs4 server:/home rw\n",
    "lustre": ROOT + "30 24 0:40 / {store} rw - lustre server:/home rw\n",
    "sshfs": ROOT + "30 24 0:40 / {store} rw - fuse.sshfs server:/home rw\n",
    "beneath": "24 1 0:22 / / rw - nfs server:/ rw\n30 24 0:40 / {store} rw - ext4 /dev/vdb rw\n",
    "beside": ROOT + "30 24 0:40 / {store}-2 rw - nfs4 server:/home rw\n",
}


def test_a_lease_that_somebody_holds_is_that_of_a_living_process(tmp_path):
    assert judge(Look(Liveness.ALIVE, 5), HERE, tmp_path / "lease")[0] is Liveness.ALIVE


def test_a_free_lease_is_believed_on_this_machine_and_after_it_has_started_anew(tmp_path):
    for worker in (HERE, REBOOTED, None):
        assert judge(FREE, worker, tmp_path / "lease") == (Liveness.DEAD, "")


@pytest.mark.parametrize(
    ("mounts", "liveness"),
    [
        ("nfs4", Liveness.UNKNOWN), ("lustre", Liveness.UNKNOWN), ("sshfs", Liveness.UNKNOWN),
        ("beneath", Liveness.DEAD), ("beside", Liveness.DEAD),
    ],
)  # fmt: skip
def test_a_free_lease_of_another_machine_says_nothing_on_a_disk_that_both_have(
    mounts, liveness, tmp_path, monkeypatch
):
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS[mounts].format(store=tmp_path / "store"))
    (tmp_path / "store").mkdir()
    monkeypatch.setattr(machine, "_MOUNTS", table)
    found, why = judge(FREE, ELSEWHERE, tmp_path / "store" / "lease")
    assert found is liveness
    assert ("another" in why) == (liveness is Liveness.UNKNOWN)


@pytest.mark.row("R16")
def test_a_lease_file_that_is_gone_leaves_the_process_to_be_looked_for(tmp_path):
    child = subprocess.Popen(["sleep", "60"])
    try:
        worker = {**HERE, "pid": child.pid, "birth": machine.birth(child.pid)}
        assert judge(GONE, worker, tmp_path / "lease")[0] is Liveness.ALIVE
        stranger = {**worker, "birth": "1"}
        assert judge(GONE, stranger, tmp_path / "lease")[0] is Liveness.DEAD
    finally:
        child.kill()
    wait_until(lambda: machine.birth(child.pid) is None)
    assert judge(GONE, worker, tmp_path / "lease")[0] is Liveness.DEAD
    child.wait()


def test_a_lease_that_cannot_be_asked_is_unknown_and_says_why(tmp_path):
    (tmp_path / "lease").mkdir()
    found = lease.look(tmp_path / "lease")
    assert found.liveness is Liveness.UNKNOWN
    assert "Is a directory" in found.why
    assert lease.holder(tmp_path / "lease") is None

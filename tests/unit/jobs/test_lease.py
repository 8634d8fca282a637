"""The lease: held by a living process, free the moment it is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from tests.support.waiting import wait_until
from tunesmith.jobs.lease import Lease, holder

HOLD = """
import os, sys
from pathlib import Path
from tunesmith.jobs.lease import Lease
assert Lease.acquire(Path(sys.argv[1])) is not None
child = os.fork()
if child == 0:
    os.close(0), os.close(1)
    os.execvp("sleep", ["sleep", "60"])
print(child, flush=True)
sys.stdin.read()
"""


def start_holder(path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_a_held_lease_names_its_holder_and_cannot_be_taken(tmp_path):
    process, child = start_holder(tmp_path / "lease")
    try:
        assert holder(tmp_path / "lease") == process.pid
        assert Lease.acquire(tmp_path / "lease") is None
    finally:
        process.communicate("")
        os.kill(child, signal.SIGKILL)
    assert holder(tmp_path / "lease") is None


def test_a_killed_holder_loses_the_lease_although_its_child_lives_on(tmp_path):
    process, child = start_holder(tmp_path / "lease")
    try:
        process.kill()
        process.communicate()
        wait_until(lambda: holder(tmp_path / "lease") is None)
        lease = Lease.acquire(tmp_path / "lease")
        assert lease is not None
        lease.release()
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_lease_that_was_never_taken_has_no_holder(tmp_path):
    assert holder(tmp_path / "lease") is None


def test_looking_at_ones_own_lease_does_not_drop_it(tmp_path):
    path = tmp_path / "lease"
    lease = Lease.acquire(path)
    assert lease is not None
    assert holder(path) == os.getpid()
    assert Lease.acquire(path) is None
    ask = [sys.executable, "-c", "import sys; from pathlib import Path; from tunesmith.jobs.lease import holder; "
           "print(holder(Path(sys.argv[1])))", str(path)]  # fmt: skip
    assert subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip() == str(os.getpid())
    lease.release()
    assert holder(path) is None

"""Jobs of milliseconds, for tests of the host and of job processes. No machine-learning library is involved."""

from __future__ import annotations

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

from tunesmith.jobs.context import JobContext, Stopped
from tunesmith.jobs.process import JobFunction, run_attempt, run_attempts
from tunesmith.schemas.base import Document
from tunesmith.schemas.errors import NoRows


class FakeRequest(Document):
    """What the fake job is to do."""

    behaviour: str
    created_at: str = ""


class FakeResult(Document):
    """What it leaves."""

    attempt: int
    pid: int
    session: int
    descriptors: list[str]


def fake_job(job: JobContext) -> Document:
    """Do what the request says."""
    behaviour = job.request(FakeRequest).behaviour
    if behaviour == "fail":
        raise NoRows("There are no rows.", "Bring some.")
    if behaviour == "bug":
        raise RuntimeError("a secret detail")
    if behaviour == "full":
        raise OSError(28, "No space left on device")
    if behaviour == "memory":
        raise MemoryError
    if behaviour == "print":
        print("printed by a job")
        os.system("echo printed by a child")
    if behaviour == "kill-once" and job.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
    if behaviour == "gpu":
        job.phase(f"on GPU {os.environ['CUDA_VISIBLE_DEVICES']}")
        _steps(job)
    if behaviour == "steps":
        _steps(job)
    return FakeResult(
        attempt=job.attempt, pid=os.getpid(), session=os.getsid(0), descriptors=sorted(_open_files())
    )


def _steps(job: JobContext) -> None:
    """Steps until somebody asks to stop, or for a minute."""
    for step in range(1, 6001):
        job.progress(step, 6000, loss=1.0 / step)
        if job.stop_requested():
            raise Stopped
        time.sleep(0.01)


def _open_files() -> list[str]:
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(entry.readlink()))
        except OSError:
            continue
    return links


def _load() -> JobFunction:
    return fake_job


def run_fake_job(store_root: str, handle: str, attempt: int) -> None:
    """The entry of a fake job process."""
    sys.exit(run_attempt(store_root, handle, attempt, partial(_load)))


def run_fake_jobs(store_root: str, handle: str, attempt: int, turns: Path, stay_s: float) -> None:
    """The entry of a fake job process that stays for more."""
    sys.exit(run_attempts(store_root, handle, attempt, partial(_load), turns, stay_s))

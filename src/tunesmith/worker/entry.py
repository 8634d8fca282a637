"""From a kind of work to the function that does it. Light until the function is loaded."""

from __future__ import annotations

import os
import sys
import threading
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from tunesmith.jobs.process import TRACKER_THREAD, JobFunction, run_attempt, run_attempts
from tunesmith.schemas.enums import Work
from tunesmith.schemas.handles import work_of

_MODULES: dict[Work, str] = {
    Work.LOAD_DATASET: "tunesmith.data.load_job",
    Work.CLEAN_DATASET: "tunesmith.data.clean_job",
    Work.BUILD_GOLDEN_SET: "tunesmith.data.golden_job",
    Work.FIND_MODELS: "tunesmith.training.find_models_job",
    Work.CONFIGURE: "tunesmith.training.configure_job",
    Work.TRAIN: "tunesmith.training.train_job",
    Work.EVALUATE: "tunesmith.evaluation.evaluate_job",
    Work.GENERATE: "tunesmith.evaluation.generate_job",
    Work.COMPARE: "tunesmith.evaluation.compare_job",
    Work.PUSH: "tunesmith.publishing.push_job",
}

_READS_FOREIGN_BYTES = {Work.LOAD_DATASET, Work.CLEAN_DATASET}

PRELOAD = ("tunesmith.worker.preload",)
"""What the host's forkserver imports once, for all job processes."""


def run_job(store_root: str, handle: str, attempt: int) -> None:
    """Do one attempt at the handle's work in this process, then exit with its status."""
    status = run_attempt(store_root, handle, attempt, partial(_load, work_of(handle)))
    if any(thread.name.startswith(TRACKER_THREAD) for thread in threading.enumerate()):
        os._exit(
            status
        )  # a tracker hangs, and whatever it waits for would keep the process, its lease and its device
    sys.exit(status)


def run_jobs(store_root: str, handle: str, attempt: int, turns: Path, stay_s: float) -> None:
    """Do one attempt at the handle's work in this process, then more work of the same kind as the host sends it."""
    load = partial(_load, work_of(handle))
    sys.exit(run_attempts(store_root, handle, attempt, load, turns, stay_s))


def _load(work: Work) -> JobFunction:
    if work in _READS_FOREIGN_BYTES:
        limits: Any = import_module("tunesmith.data.reading.limits")
        limits.limit_process()
    function: JobFunction = import_module(_MODULES[work]).run
    return function

"""A host of fake jobs: `python -m tests.support.fake_host STORE IDLE_S`."""

import os
import sys
from pathlib import Path

from tests.support.fake_jobs import run_fake_job
from tunesmith.jobs.host import Host
from tunesmith.jobs.paths import Store

if __name__ == "__main__":
    root, idle_s = sys.argv[1], float(sys.argv[2])
    os._exit(Host(Store(Path(root)), run_fake_job, ("tests.support.fake_jobs",), idle_s).serve())

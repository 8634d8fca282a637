"""A host of fake trainings: `python -m tests.support.fake_trainer_host STORE IDLE_S`."""

import os
import sys
from pathlib import Path

from tests.support.fake_trainer import run_fake_training
from tunesmith.jobs.host import Host
from tunesmith.jobs.paths import Store

if __name__ == "__main__":
    root, idle_s = sys.argv[1], float(sys.argv[2])
    os._exit(Host(Store(Path(root)), run_fake_training, ("tests.support.fake_trainer",), idle_s).serve())

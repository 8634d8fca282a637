"""A host of fake jobs: `python -m tests.support.fake_host STORE IDLE_S SLOTS GPUS STAY_S`.

It believes in so many GPUs, or in a processor with so many slots.
"""

import os
import sys
from pathlib import Path

from tests.support.fake_jobs import run_fake_job, run_fake_jobs
from tunesmith.jobs.devices import CPU, Device
from tunesmith.jobs.host import Host
from tunesmith.jobs.paths import Store

if __name__ == "__main__":
    root, idle_s, slots, gpus = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    devices = [Device(str(number), 64, 2**36) for number in range(gpus)] or [Device(CPU, slots, 2**36)]
    preload = ("tests.support.fake_jobs",)
    host = Host(Store(Path(root)), run_fake_job, preload, idle_s, devices, run_fake_jobs, float(sys.argv[5]))
    os._exit(host.serve())

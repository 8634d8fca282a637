"""`tunesmith host`: the background host's process."""

from __future__ import annotations

import os
import sys

from tunesmith.jobs.host import DEFAULT_IDLE_S, Host
from tunesmith.jobs.paths import Store
from tunesmith.worker.entry import PRELOAD, run_job, run_jobs


def serve_host() -> int:
    """Serve the default store until idle; never returns."""
    idle_s = float(os.environ.get("TUNESMITH_HOST_IDLE_S", DEFAULT_IDLE_S))
    status = Host(Store.default(), run_job, PRELOAD, idle_s, staying_entry=run_jobs).serve()
    sys.stdout.flush()
    sys.stderr.flush()
    # multiprocessing would wait for the job processes here; they are meant to outlive this one.
    os._exit(status)

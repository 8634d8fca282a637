"""Trains one run in this process, which may take only so much more memory than it has once everything is imported.

python -m tests.training.limited STORE RUN BYTES
"""

from __future__ import annotations

import json
import resource
import sys
from importlib import import_module
from pathlib import Path

from tunesmith.jobs.context import JobContext
from tunesmith.jobs.journal import Journal
from tunesmith.jobs.paths import Store
from tunesmith.schemas.errors import TunesmithError


def data_bytes() -> int:
    """What RLIMIT_DATA counts."""
    (line,) = (one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmData:"))
    return int(line.split()[1]) * 1024


def main(root: str, handle: str, room: int) -> None:
    """Print the outcome, or the error that ended the run, as JSON."""
    import_module("tunesmith.worker.preload")
    train_job = import_module("tunesmith.training.train_job")
    import_module("tunesmith.training.trainer")
    limit = data_bytes() + room
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    store = Store(Path(root))
    paths = store.handle(handle)
    try:
        outcome = train_job.run(JobContext(store, paths, Journal(paths.journal, 1)))
        print(outcome.model_dump_json())
    except TunesmithError as error:
        print(json.dumps({"error": str(error), "recovery": error.recovery}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))

"""`tunesmith runs`: the runs of this store, newest first."""

from __future__ import annotations

from functools import partial

import anyio

from tunesmith.cli.observation import open_workspace
from tunesmith.tools.list_runs import describe, list_runs


def print_runs(query: str) -> int:
    """Print a line per run."""
    found = anyio.run(partial(list_runs, open_workspace(), query=query or None, limit=100))
    print(describe(found.model_copy(update={"next": []})))
    return 0

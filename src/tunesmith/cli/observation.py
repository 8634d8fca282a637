"""What the commands that only look share: the store of this environment, seen through the tools' own eyes."""

from __future__ import annotations

from tunesmith.jobs.executor import LocalExecutor
from tunesmith.jobs.paths import Store
from tunesmith.jobs.snapshot import Observer
from tunesmith.tools.workspace import Workspace, report_to_nobody


def open_workspace(store: Store | None = None) -> Workspace:
    """A store, by default this environment's, for looking at."""
    store = store or Store.default()
    return Workspace(store, LocalExecutor(store), Observer(store), report_to_nobody)

"""What the commands that only look share: the store of this environment, seen through the tools' own eyes."""

from __future__ import annotations

from tunesmith.jobs.executor import LocalExecutor
from tunesmith.jobs.paths import Store
from tunesmith.jobs.snapshot import Observer
from tunesmith.tools.workspace import Workspace, report_to_nobody


def open_workspace() -> Workspace:
    """The default store, for looking at."""
    store = Store.default()
    return Workspace(store, LocalExecutor(store), Observer(store), report_to_nobody)

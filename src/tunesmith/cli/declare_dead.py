"""`tunesmith runs declare-dead`: a person's word on a process that cannot be asked from here."""

from __future__ import annotations

import sys

from tunesmith.cli.observation import open_workspace
from tunesmith.jobs.journal import Journal
from tunesmith.schemas.errors import TunesmithError
from tunesmith.schemas.handles import require_handle


def declare_dead(handle: str) -> int:
    """Record that the newest attempt's process is gone; 1 where that is known anyway, 2 when there is no such run.

    Should it live after all, it notices once the run is resumed, and nothing that it writes from then on counts.
    """
    workspace = open_workspace()
    try:
        require_handle(handle, "run", "run")
        snapshot = workspace.observer.look(handle)
        if not snapshot.doubt:
            print(f"{handle} is {snapshot.state.value}, which is known for certain; nothing was recorded.")
            return 1
        Journal(snapshot.paths.journal, max(1, snapshot.ledger.attempt)).append("declared_dead", durable=True)
    except TunesmithError as error:
        print(error, file=sys.stderr)
        return 2
    state = workspace.observer.look(handle).state.value
    print(f"{handle} is {state} now. start_training with resume_run_id goes on from its last commit.")
    return 0

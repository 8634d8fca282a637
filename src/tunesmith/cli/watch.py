"""`tunesmith watch`: a live bar of one run, until it ends."""

from __future__ import annotations

import sys
import time

from tqdm import tqdm

from tunesmith.cli.observation import open_workspace
from tunesmith.jobs.snapshot import Snapshot
from tunesmith.schemas.enums import RunState
from tunesmith.schemas.errors import TunesmithError
from tunesmith.schemas.handles import require_handle
from tunesmith.tools.get_status import describe, status_of

_LOOK_EVERY_S = 0.2


def watch(handle: str) -> int:
    """Show the run's progress; 0 once it has succeeded, 1 when it ended otherwise, 2 when there is no such run."""
    workspace = open_workspace()
    try:
        require_handle(handle, "run", "run")
        snapshot = workspace.observer.look(handle)
        # Steps from before we looked say nothing about the speed from now on.
        begun = snapshot.ledger.progress.get("step", 0)
        with tqdm(desc=handle, unit="step", initial=begun, dynamic_ncols=True, file=sys.stderr) as bar:
            while True:
                _show(bar, snapshot)
                if not snapshot.state.is_active:
                    break
                time.sleep(_LOOK_EVERY_S)
                snapshot = workspace.observer.look(handle)
    except TunesmithError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"{handle} goes on in the background.", file=sys.stderr)
        return 0
    print(describe(status_of(workspace, snapshot).model_copy(update={"next": []})))
    return 0 if snapshot.state is RunState.SUCCEEDED else 1


def _show(bar: tqdm[None], snapshot: Snapshot) -> None:
    figures = snapshot.ledger.progress
    bar.total = figures.get("total_steps")
    step = figures.get("step", 0)
    if bar.n != step:
        bar.update(step - bar.n)
    told = {"loss": figures.get("loss"), "tokens/s": figures.get("tokens_per_s")}
    if snapshot.ledger.evaluations:
        told["eval"] = snapshot.ledger.evaluations[-1][1]
    shown = {name: f"{value:.4g}" for name, value in told.items() if isinstance(value, (int, float))}
    bar.set_postfix(shown, refresh=False)
    bar.set_description(f"{snapshot.handle} {snapshot.ledger.phase or snapshot.state.value}", refresh=False)
    bar.refresh()

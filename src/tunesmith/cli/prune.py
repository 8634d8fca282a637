"""`tunesmith runs prune` and `tunesmith runs --disk`: what the store takes, and removing what it no longer needs."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Sequence

from tunesmith.jobs.disk import free_bytes, use_of
from tunesmith.jobs.folders import handles_in, listed
from tunesmith.jobs.paths import Store
from tunesmith.jobs.pruning import Item, Kept, Proposal, Pruner, Selection
from tunesmith.jobs.snapshot import Observer
from tunesmith.schemas.enums import RunState, Work
from tunesmith.schemas.errors import TunesmithError, UnknownHandle
from tunesmith.tools.wording import size

DESCRIPTION = """\
Remove what this store no longer needs. Without --yes nothing is removed, only shown.

Without RUN, --state and --older-than: checkpoints of succeeded runs, and what crashes have left. Adapters, results and
whole runs stay; a run without checkpoints can no longer be continued with more epochs.
With them: the runs that fit all of them, adapters included. Runs that are at work, that may be, or that others need
stay in any case; a run that cannot be read goes only when it is named."""
_ENDED = [state for state in RunState if not state.is_active]
_SECONDS = {"h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `tunesmith runs prune`."""
    parser.add_argument("runs", nargs="*", metavar="RUN", help="run-… handle: this run as a whole")
    parser.add_argument(
        "--state", type=_states, metavar="STATES", help=f"whole runs that have ended so: {','.join(_ENDED)}"
    )
    parser.add_argument(
        "--older-than",
        type=_duration_s,
        metavar="AGE",
        help="whole runs without news for so long: 30d, 12h, 2w",
    )
    parser.add_argument("--yes", action="store_true", help="remove it")


def prune(parsed: argparse.Namespace) -> int:
    """Show, or with --yes remove; 1 when something could not be removed, 2 when the arguments name no run."""
    pruner = Pruner(Observer(Store.default()))
    try:
        proposal = _propose(pruner, parsed)
    except TunesmithError as error:
        print(error, file=sys.stderr)
        return 2
    if parsed.yes:
        return _remove(pruner, proposal)
    _show(proposal)
    if proposal.items:
        print(f"Nothing has been removed. To remove it: {_command(parsed)}")
    return 0


def print_disk(words: str) -> int:
    """Print what each run takes, the largest first, those whose line has all the words; and the totals."""
    store = Store.default()
    observer = Observer(store)
    runs = handles_in(store, Work.TRAIN)
    taken = {run: use_of([store.handle(run).folder]).taken_bytes for run in runs}
    for run in sorted(runs, key=lambda run: -taken[run]):
        line = _disk_line(observer, run, taken[run])
        if all(word in line.lower() for word in words.lower().split()):
            print(line)
    total = use_of([store.root]).taken_bytes
    in_runs = use_of(store.handle(run).folder for run in runs).taken_bytes
    free = free_bytes(store)
    print(
        f"{len(runs)} runs take {size(in_runs)}; the whole store {size(total)}; its disk has {size(free)} free."
    )
    return 0


def _disk_line(observer: Observer, run: str, taken_bytes: int) -> str:
    paths = observer.store.handle(run)
    try:
        state = observer.look(run).state.value
    except UnknownHandle:
        state = "unreadable"
    checkpoints, adapter = (use_of([path]).taken_bytes for path in (paths.checkpoints, paths.adapter))
    return (
        f"{run} {size(taken_bytes):>9}  {state}: {len(listed(paths.checkpoints))} checkpoints {size(checkpoints)}, "
        f"adapter {size(adapter)}"
    )


def _propose(pruner: Pruner, parsed: argparse.Namespace) -> Proposal:
    if not parsed.runs and parsed.state is None and parsed.older_than is None:
        return pruner.propose_spare()
    return pruner.propose_runs(
        Selection(frozenset(parsed.runs), parsed.state or frozenset(), parsed.older_than)
    )


def _remove(pruner: Pruner, proposal: Proposal) -> int:
    freed = failed = 0
    kept = dict(proposal.kept)
    for item in proposal.items:
        try:
            pruner.remove(item)
        except Kept as why:
            kept[_name(item)] = str(why)
        except OSError as error:
            failed += 1
            print(f"{_name(item)}: could not be removed ({error.strerror}).", file=sys.stderr)
        else:
            freed += item.freed_bytes
            print(f"removed {_line(item)}")
    _show_kept(kept)
    print(f"{size(freed)} freed.")
    return 1 if failed else 0


def _show(proposal: Proposal) -> None:
    for item in proposal.items:
        print(_line(item))
    _show_kept(proposal.kept)
    print(f"{len(proposal.items)} things, {size(proposal.freed_bytes)}.")
    if any(item.what == "checkpoints" for item in proposal.items):
        print("Runs without checkpoints keep their adapters, but cannot be continued with more epochs.")
    if any(item.what == "run" for item in proposal.items):
        print("These runs would be gone as a whole, with their adapters.")


def _show_kept(kept: dict[str, str]) -> None:
    for name, why in kept.items():
        print(f"stays: {name} ({why})")


def _line(item: Item) -> str:
    return f"{size(item.freed_bytes):>9}  {item.what}: {_name(item)}"


def _name(item: Item) -> str:
    within = item.path.name if item.handle is None else str(item.path)[str(item.path).index(item.handle) :]
    return item.handle if item.what in ("checkpoints", "run") and item.handle else within


def _command(parsed: argparse.Namespace) -> str:
    """The command that was given, and --yes."""
    words: Sequence[str] = [
        *parsed.runs,
        *(("--state", ",".join(sorted(parsed.state))) if parsed.state else ()),
        *(("--older-than", _age(parsed.older_than)) if parsed.older_than is not None else ()),
    ]
    return shlex.join(["tunesmith", "runs", "prune", *words, "--yes"])


def _age(duration_s: float) -> str:
    days, rest_s = divmod(duration_s, _SECONDS["d"])
    return f"{duration_s / _SECONDS['h']:.0f}h" if rest_s else f"{days:.0f}d"


def _states(text: str) -> frozenset[RunState]:
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in _ENDED]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(_ENDED)}")
    return frozenset(RunState(name) for name in names)


def _duration_s(text: str) -> float:
    found = re.fullmatch(r"(\d{1,6})([hdw])", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no age such as 12h, 30d or 2w")
    return int(found[1]) * _SECONDS[found[2]]

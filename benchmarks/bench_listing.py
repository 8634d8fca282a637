"""How fast are 10,000 runs listed, and how fast is get_status on a journal of a million lines?

Each figure is taken in a process that has looked at nothing yet (its imports do not count), but for the warm one.
Baselines, in the same run: reading every run; parsing every line of the journal.
Wanted: list_runs at most 0.3 s, get_status at most 50 ms.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import anyio

from benchmarks.measuring import spread
from tests.support.written_runs import began, evaluated, finished, progressed, run_handle, write_run
from tunesmith.jobs.executor import LocalExecutor
from tunesmith.jobs.journal import read_events
from tunesmith.jobs.paths import Store
from tunesmith.jobs.snapshot import Observer
from tunesmith.tools.get_status import get_status
from tunesmith.tools.list_runs import list_runs
from tunesmith.tools.workspace import Workspace, report_to_nobody

RUNS = 10_000
LINES = 1_000_000
STEPS_OF_A_RUN = 40
REPEATS = 7
LONG = run_handle(0)


def workspace_of(store: Store) -> Workspace:
    """A process's own view of the store, with nothing read yet."""
    return Workspace(store, LocalExecutor(store), Observer(store), report_to_nobody)


def listing(store: Store) -> float:
    """Seconds of one list_runs by somebody who has looked at nothing."""
    workspace = workspace_of(store)
    began_at = time.perf_counter()
    found = anyio.run(partial(list_runs, workspace, limit=100))
    taken = time.perf_counter() - began_at
    assert found.total == RUNS
    return taken


def status(store: Store, calls: int) -> list[float]:
    """Seconds of each of some get_status calls by one process."""
    workspace = workspace_of(store)
    taken = []
    for _ in range(calls):
        began_at = time.perf_counter()
        found = anyio.run(partial(get_status, workspace, LONG))
        taken.append(time.perf_counter() - began_at)
        assert found.step == LINES
    return taken


def parsing(store: Store) -> float:
    """Seconds of parsing every line of the long journal."""
    began_at = time.perf_counter()
    read_events(store.handle(LONG).journal)
    return time.perf_counter() - began_at


def in_a_new_process(what: str, store: Store) -> list[float]:
    """Some measurements made by a process of their own."""
    command = [sys.executable, "-m", "benchmarks.bench_listing", what, str(store.root)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [float(word) for word in printed.split()]


async def _use_a_thread() -> None:
    await anyio.to_thread.run_sync(time.perf_counter)


def measure(what: str, store: Store) -> list[float]:
    """What a process of its own is asked for."""
    anyio.run(_use_a_thread)  # a server's event loop is there long before the first call
    if what == "list":
        return [listing(store)]
    if what == "parse":
        return [parsing(store)]
    return status(store, 1 if what == "status" else 1 + REPEATS)


def list_ten_thousand(store: Store) -> None:
    """Print how long listing takes with the index and without."""
    for number in range(RUNS):
        steps = [progressed(step, STEPS_OF_A_RUN) for step in range(1, STEPS_OF_A_RUN + 1)]
        events = [
            *began(),
            evaluated(0, 3.0),
            *steps,
            evaluated(STEPS_OF_A_RUN, 2.0 - number / RUNS),
            finished(),
        ]
        write_run(store, run_handle(number), events)
    without = []
    for _ in range(3):
        store.run_index.unlink(missing_ok=True)
        without += in_a_new_process("list", store)
    indexed = [taken for _ in range(REPEATS) for taken in in_a_new_process("list", store)]
    print(f"list_runs, {RUNS:,} runs, every run read   {spread(without)}")
    print(f"list_runs, {RUNS:,} runs, with the index   {spread(indexed, digits=3)}")
    ratio = statistics.median(without) / statistics.median(indexed)
    print(f"ratio {ratio:.0f} (wanted: at most 0.3 s with the index)")


def ask_about_a_million_lines(store: Store) -> None:
    """Print how long get_status takes cold and warm, and how long parsing takes."""
    steps = (progressed(step, 2 * LINES) for step in range(1, LINES + 1))
    write_run(store, LONG, (event for part in (began(), steps, [evaluated(LINES, 1.5)]) for event in part))
    parsed = [taken for _ in range(2) for taken in in_a_new_process("parse", store)]
    first = in_a_new_process("status", store)
    cold = [taken for _ in range(REPEATS) for taken in in_a_new_process("status", store)]
    warm = in_a_new_process("warm", store)[1:]
    print(f"a journal of {LINES:,} lines, all parsed       {spread(parsed)}")
    print(f"get_status, which nobody has asked before      {spread(first)}")
    print(f"get_status, in a process that has read nothing {spread([1e3 * s for s in cold], 'ms', 1)}")
    print(f"get_status, in a process that goes on reading  {spread([1e3 * s for s in warm], 'ms', 1)}")
    ratio = statistics.median(parsed) / statistics.median(cold)
    print(f"ratio of parsing to cold {ratio:.0f} (wanted: at most 50 ms, cold and warm)")


def main() -> None:
    """Print all figures."""
    if len(sys.argv) > 1:
        print(*measure(sys.argv[1], Store(Path(sys.argv[2]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        ask_about_a_million_lines(Store(Path(folder) / "long"))
        list_ten_thousand(Store(Path(folder) / "many"))


if __name__ == "__main__":
    main()

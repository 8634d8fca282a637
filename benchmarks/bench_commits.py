"""What do commits and the journal cost a training?

`python -m benchmarks.bench_commits [--material FOLDER] [--steps 400] [--rounds 2]`

Baseline: the same run with commits off, in turns with it; and beside that ratio, which a machine's noise may move by
more than a commit takes, the share of the run's own time that went into writing, syncing and renaming checkpoints.
Wanted: at most 2 %. The model is the one in FOLDER/models/tinytalk-chat, or the embedded one. One event of the journal
is wanted to take at most 1 % of a step of 20 ms.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio
from mcp import Client

from benchmarks.bench_first_step import call
from benchmarks.measuring import end_host, quantile, server_of, spread
from tunesmith.jobs.journal import Journal
from tunesmith.jobs.paths import Store

STEP_S = 0.020
EVENTS = 3000


async def make_plan(store: Path, model: str, source: str, steps: int) -> str:
    """A plan without evaluations, whose time would hide that of commits."""
    async with Client(server_of(store)) as client:
        dataset = await call(client, "load_dataset", source=source)
        plan = await call(
            client, "configure_lora", base_model=model, dataset_id=dataset["dataset_id"], max_steps=steps
        )
    return str(plan["plan_id"])


def train(store: Path, plan_id: str, commits: bool) -> dict[str, float]:
    """One run in this process: seconds from the first step to the last, and those of them that saving took."""
    from transformers import Trainer

    import tunesmith.worker  # noqa: F401 - as in each job process, before torch is there
    from tunesmith.jobs.context import JobContext
    from tunesmith.jobs.files import read_document, write_document
    from tunesmith.jobs.submission import create_claimed
    from tunesmith.schemas.enums import TrainingMode, Work
    from tunesmith.schemas.handles import new_handle
    from tunesmith.schemas.plans import Plan
    from tunesmith.schemas.runs import TrainRequest
    from tunesmith.training import reporting, train_job

    places = Store(store)
    plan = read_document(places.handle(plan_id).result, Plan)
    assert plan is not None
    handle = new_handle(Work.TRAIN)
    create_claimed(
        places, handle, TrainRequest(plan_id=plan_id, mode=TrainingMode.FULL, request_key=None, created_at="")
    )
    paths = places.handle(handle)
    write_document(paths.plan, plan)

    at: list[float] = []
    saving = [0.0]

    def timed(function: Any) -> Any:
        def wrapped(*arguments: Any, **keywords: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments, **keywords)
            finally:
                saving[0] += time.perf_counter() - began

        return wrapped

    step_end = reporting.Reporter.on_step_end

    def on_step_end(*arguments: Any, **keywords: Any) -> None:
        at.append(time.perf_counter())
        step_end(*arguments, **keywords)

    reporting.Reporter.on_step_end = on_step_end  # type: ignore[method-assign]
    reporting.Reporter.on_save = timed(reporting.Reporter.on_save)  # type: ignore[method-assign]
    Trainer._save_checkpoint = timed(Trainer._save_checkpoint)
    if not commits:
        reporting.Calendar.saves_at = lambda *_: False  # type: ignore[method-assign]
    train_job.run(JobContext(places, paths, Journal(paths.journal, 1)))
    # The last commit comes after the last step's end.
    return {"total_s": at[-1] - at[0] + (saving[0] / 4 if commits else 0.0), "saving_s": saving[0]}


def in_its_own_process(store: Path, plan_id: str, commits: bool) -> dict[str, float]:
    """As `train`."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.bench_commits",
        "--one",
        str(store),
        plan_id,
        "on" if commits else "off",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def journal_seconds(folder: Path) -> list[float]:
    """Seconds of each event of the kind that a step tells."""
    journal = Journal(folder / "journal.jsonl", 1)
    taken = []
    for step in range(EVENTS):
        began = time.perf_counter()
        journal.append(
            "progress",
            step=step,
            total_steps=EVENTS,
            loss=1.25,
            learning_rate=1e-4,
            tokens_per_s=1e4,
            eta_s=9.0,
        )
        taken.append(time.perf_counter() - began)
    return taken


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--material", type=Path)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--one", nargs=3)
    parsed = parser.parse_args()
    if parsed.one:
        print(json.dumps(train(Path(parsed.one[0]), parsed.one[1], parsed.one[2] == "on")))
        return
    model = str(parsed.material / "models" / "tinytalk-chat") if parsed.material else "demo"
    source = (
        str(parsed.material / "data/chat/tinytalk_chat_val.messages.jsonl") if parsed.material else "demo"
    )
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store"
        plan_id = anyio.run(make_plan, store, model, source, parsed.steps)
        end_host(Store(store))
        runs: dict[bool, list[dict[str, float]]] = {True: [], False: []}
        for _ in range(parsed.rounds):
            for commits in (True, False):
                runs[commits].append(in_its_own_process(store, plan_id, commits))
        taken = journal_seconds(Path(folder))
    on, off = ([run["total_s"] for run in runs[commits]] for commits in (True, False))
    shares = [run["saving_s"] / run["total_s"] for run in runs[True]]
    print(
        f"{parsed.steps} steps of LoRA on {Path(model).name}, a commit every quarter (the default for short runs)"
    )
    print(f"commits off   {spread(off)}")
    print(f"commits on    {spread(on)}, ratio {statistics.median(on) / statistics.median(off):.3f}")
    print(f"of that time in commits: {statistics.median(shares):.2%} (wanted: at most 2 %)")
    median, tail = statistics.median(taken), quantile(taken, 0.95)
    print(
        f"an event of the journal: median {median * 1e6:.0f} us, 95th percentile {tail * 1e6:.0f} us, "
        f"{median / STEP_S:.2%} of a 20 ms step (wanted: at most 1 %)"
    )


if __name__ == "__main__":
    main()

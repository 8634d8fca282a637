"""How long from start_training to the first optimizer step?

Baseline: the same training as a plain TRL script (benchmarks/plain_trl.py), from its spawn to its first step, in turn
with ours. Wanted: at most 2.5 s warm, and cold no slower than the script.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio
from mcp import Client

from benchmarks.measuring import end_host, server_of, spread
from tunesmith import demo
from tunesmith.jobs import clock
from tunesmith.jobs.journal import read_events
from tunesmith.jobs.paths import Store

ROUNDS = 5


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """A tool's result, followed to its end."""
    result = await client.call_tool(tool, arguments)
    if result.is_error:
        raise SystemExit(f"{tool}: {result.content}")
    answer = dict(result.structured_content or {})
    if tool in ("start_training", "get_status"):
        return answer
    handle = next(value for name, value in answer.items() if name.endswith("_id"))
    while answer["state"] not in ("succeeded", "failed"):
        status = await call(client, "get_status", run_id=handle, wait_s=30)
        answer |= {**status.get("result", {}), "state": status["state"]}
    return answer


async def make_plan(client: Client) -> str:
    """A plan for the demo model on the demo data."""
    dataset = await call(client, "load_dataset", source="demo")
    golden = await call(client, "build_golden_set", dataset_id=dataset["dataset_id"], size=100)
    plan = await call(
        client,
        "configure_lora",
        base_model="demo",
        dataset_id=golden["train_dataset_id"],
        golden_set_id=golden["golden_set_id"],
        max_steps=5,
    )
    return str(plan["plan_id"])


async def first_step(client: Client, store: Store, plan_id: str) -> float:
    """Seconds from the call to the end of the first optimizer step."""
    began = clock.boot_s()
    run_id = (await call(client, "start_training", plan_id=plan_id))["run_id"]
    while (await call(client, "get_status", run_id=run_id, wait_s=30))["state"] not in (
        "succeeded",
        "failed",
    ):
        pass
    steps = [event for event in read_events(store.handle(run_id).journal) if event["event"] == "progress"]
    return float(steps[0]["boot"]) - began


def plain_script() -> float:
    """Seconds from the script's spawn to the end of its first optimizer step."""
    answer = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.plain_trl",
            str(demo.dataset_path()),
            str(demo.base_model_path()),
            str(clock.boot_s()),
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    line = next(line for line in answer.stdout.splitlines() if line.startswith("first step after"))
    return float(line.split()[-1])


async def measure(store: Store) -> tuple[list[float], list[float], list[float]]:
    """Warm starts, cold starts, plain scripts: in turn, so that whatever else the machine does meets all three."""
    warm, cold, plain = [], [], []
    async with Client(server_of(store.root)) as client:
        plan_id = await make_plan(client)
    for _ in range(ROUNDS):
        plain.append(plain_script())
        end_host(store)
        async with Client(server_of(store.root)) as client:  # a new server, as after a restart of the machine
            cold.append(await first_step(client, store, plan_id))
            warm.append(await first_step(client, store, plan_id))
    end_host(store)
    return warm, cold, plain


def main() -> None:
    """Print all three, and the ratios."""
    with tempfile.TemporaryDirectory() as folder:
        warm, cold, plain = anyio.run(measure, Store(Path(folder)))
    middle = statistics.median(plain)
    print(f"plain TRL script   spawn to first step {spread(plain)}")
    print(f"tunesmith, warm    start_training to first step {spread(warm)} (wanted: at most 2.5 s)")
    print(
        f"tunesmith, cold    start_training to first step {spread(cold)} (wanted: no slower than the script)"
    )
    print(
        f"ratio to the script: warm {statistics.median(warm) / middle:.2f}, cold {statistics.median(cold) / middle:.2f}"
    )


if __name__ == "__main__":
    main()

"""How fast is get_status while a run trains on every core?

Baseline: the same calls on the same server before the run starts. Wanted: 95th percentile at most 100 ms.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import anyio
from mcp import Client

from benchmarks.bench_first_step import call
from benchmarks.measuring import end_host, quantile, server_of
from tunesmith.jobs.paths import Store

CALLS = 200
PAUSE_S = 0.05


async def latencies(client: Client, run_id: str) -> list[float]:
    """Seconds of each call."""
    taken = []
    for _ in range(CALLS):
        began = time.monotonic()
        await call(client, "get_status", run_id=run_id)
        taken.append(time.monotonic() - began)
        await anyio.sleep(PAUSE_S)
    return taken


async def measure(folder: Path) -> tuple[list[float], list[float], str]:
    """Calls about an ended run with the machine idle, and about a run that trains meanwhile."""
    async with Client(server_of(folder)) as client:
        dataset = await call(client, "load_dataset", source="demo")
        golden = await call(client, "build_golden_set", dataset_id=dataset["dataset_id"], size=100)
        handles = {"dataset_id": golden["train_dataset_id"], "golden_set_id": golden["golden_set_id"]}
        short = await call(client, "configure_lora", base_model="demo", max_steps=2, **handles)
        long = await call(client, "configure_lora", base_model="demo", max_steps=5000, **handles)
        ended = (await call(client, "start_training", plan_id=short["plan_id"]))["run_id"]
        while (await call(client, "get_status", run_id=ended, wait_s=30))["state"] != "succeeded":
            pass
        idle = await latencies(client, ended)
        run_id = (await call(client, "start_training", plan_id=long["plan_id"]))["run_id"]
        while (await call(client, "get_status", run_id=run_id)).get("step", 0) < 5:
            await anyio.sleep(0.1)
        busy = await latencies(client, run_id)
        state = (await call(client, "get_status", run_id=run_id))["bar"]
        await client.call_tool("stop_training", {"run_id": run_id})
        while (await call(client, "get_status", run_id=run_id, wait_s=30))["state"] == "stopping":
            pass
    return idle, busy, state


def main() -> None:
    """Print both, and the ratio."""
    with tempfile.TemporaryDirectory() as folder:
        idle, busy, state = anyio.run(measure, Path(folder) / "store")
        end_host(Store(Path(folder) / "store"))
    print(f"at the end of the busy calls: {state}")
    for name, taken in (("idle machine", idle), ("while training", busy)):
        middle, high = statistics.median(taken) * 1e3, quantile(taken, 0.95) * 1e3
        print(f"get_status, {name:<15} median {middle:.1f} ms, 95th percentile {high:.1f} ms, n={len(taken)}")
    print(
        f"ratio of the 95th percentiles {quantile(busy, 0.95) / quantile(idle, 0.95):.1f} (wanted: at most 100 ms)"
    )


if __name__ == "__main__":
    main()

"""How long does a client wait for an answer of a model that has answered before?

Baseline: the same question to another model each time (the embedded one, and a copy of it in a folder, in turn), which
has to be loaded. Wanted: at most 1 s for an answer of the embedded model, warm. And 20 prompts in one call beside
20 calls with one prompt each.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from pathlib import Path

import anyio
from mcp.client import Client

from benchmarks.measuring import end_host, server_of, spread
from tunesmith import demo
from tunesmith.jobs.paths import Store

ROUNDS = 15
PROMPTS = [f"What is the capital of country number {number}?" for number in range(20)]


async def measure(folder: Path) -> None:
    copy = shutil.copytree(demo.base_model_path(), folder / "copy")
    store = folder / "store"
    parameters = server_of(store)
    assert parameters.env is not None
    parameters.env["TUNESMITH_ROOTS"] = str(folder)
    async with Client(parameters, mode="auto") as client:

        async def ask(model: str, prompts: list[str]) -> float:
            began = time.monotonic()
            answer = await client.call_tool(
                "generate_text", {"model": model, "prompts": prompts, "max_new_tokens": 20}
            )
            content = answer.structured_content or {}
            while content.get("outputs") is None:  # the very first one may outlast its call
                told = await client.call_tool(
                    "get_status", {"run_id": content["generation_id"], "wait_s": 30}
                )
                status = told.structured_content or {}
                if status.get("state") == "succeeded":
                    break
            return time.monotonic() - began

        print(f"the very first answer, the stack not yet imported: {await ask('demo', PROMPTS[:1]):.2f} s")
        other = [str(copy), "demo"]
        loading = [await ask(other[at % 2], PROMPTS[:1]) for at in range(ROUNDS)]
        await ask("demo", PROMPTS[:1])
        warm = [await ask("demo", PROMPTS[:1]) for _ in range(ROUNDS)]
        print(f"a model that has to be loaded: {spread(loading)}")
        print(f"a model that is loaded:        {spread(warm)} (wanted: at most 1 s)")
        together = await ask("demo", PROMPTS)
        apart = sum([await ask("demo", [prompt]) for prompt in PROMPTS])
        print(
            f"{len(PROMPTS)} prompts in one call: {together:.2f} s; one by one: {apart:.2f} s, {apart / together:.1f} x"
        )
    end_host(Store(store))
    assert statistics.median(warm) <= 1.0


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        anyio.run(measure, Path(scratch))

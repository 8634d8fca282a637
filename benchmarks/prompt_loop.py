"""What wins, and at what cost: a better prompt, a soft prompt, or a tuned model? Asked over MCP, as an agent would.

    python -m benchmarks.prompt_loop [--base-model demo] [--source demo] [--rounds 2] [--epochs 3]

A loop optimises a hard prompt (each round varies what came out best in the one before), then a soft prompt is
learned, then a LoRA adapter. All end in one table: the leaderboard of the golden set's dev half, on rows that no
search has scored. Last, whatever leads is confirmed once on the test half.
"""

from __future__ import annotations

import argparse
import random
import tempfile
from pathlib import Path
from typing import Any

import anyio
from mcp.client import Client

from benchmarks.measuring import end_host, server_of
from tunesmith.jobs.paths import Store
from tunesmith.schemas.evaluations import Leaderboard

SYSTEMS = ("", "Answer as in the examples.", "Answer in one short sentence, and stop.", "Be exact.")
TEMPLATES = ("", "Request: {prompt}\nAnswer: ", "{prompt} ")
SOFT_PROMPT = {"tuning_method": "prompt_tuning", "num_virtual_tokens": 20}


class Agent:
    """Calls tools, waits for work that outlasts its call, and gives up on errors."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def __call__(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The result of a call, or of the work that it began."""
        answer = await self._client.call_tool(tool, arguments)
        if answer.is_error:
            raise SystemExit(f"{tool}: {answer.content[0].text}")  # type: ignore[union-attr]
        result: dict[str, Any] = answer.structured_content or {}
        handle = next((value for name, value in result.items() if name.endswith("_id")), None)
        while result.get("state") in ("queued", "starting", "running", "stopping"):
            told = await self._client.call_tool("get_status", {"run_id": handle, "wait_s": 30})
            status: dict[str, Any] = told.structured_content or {}
            if status.get("error"):
                raise SystemExit(f"{tool}: {status['error']}")
            result = {**result, **status.get("result", {}), "state": status["state"]}
        return result


def first_variants(generator: random.Random) -> list[dict[str, Any]]:
    """Where the search begins: every text alone, and some of them with examples."""
    plain = [_variant(system, template, 0, 0) for system in SYSTEMS for template in TEMPLATES]
    shown = [
        _variant(generator.choice(SYSTEMS), generator.choice(TEMPLATES), count, generator.randrange(1000))
        for count in (1, 2, 3, 4)
        for _ in range(3)
    ]
    return [variant for variant in plain if variant] + shown


def varied(best: dict[str, Any], generator: random.Random) -> list[dict[str, Any]]:
    """The best so far, and neighbours of it."""
    system, template = best.get("system", ""), best.get("template", "")
    count = best.get("few_shot", 0)
    neighbours = [_variant(other, template, count, best.get("seed", 0)) for other in SYSTEMS]
    neighbours += [_variant(system, other, count, best.get("seed", 0)) for other in TEMPLATES]
    neighbours += [_variant(system, template, max(1, count), generator.randrange(1000)) for _ in range(5)]
    return [best, *(variant for variant in neighbours if variant and variant != best)]


def _variant(system: str, template: str, few_shot: int, seed: int) -> dict[str, Any]:
    texts = {name: text for name, text in (("system", system), ("template", template)) if text}
    return {**texts, "few_shot": few_shot, "seed": seed} if few_shot else texts


async def compete(
    agent: Agent, base_model: str, source: str, rounds: int, **training: Any
) -> tuple[str, Leaderboard]:
    """Prompts, a soft prompt and an adapter for one base model and one dataset: the golden set that judged them, and
    the table in the end."""
    generator = random.Random(0)
    dataset = await agent("load_dataset", source=source)
    golden = await agent("build_golden_set", dataset_id=dataset["dataset_id"])
    judged = {"golden_set_id": golden["golden_set_id"]}
    variants = first_variants(generator)
    for number in range(1, rounds + 1):
        found = await agent("evaluate_model", model=base_model, variants=variants, **judged)
        best = found.get("variant", {})
        told = found.get("comparison", {}).get("message", "Nothing beats the bare prompt.")
        print(
            f"round {number}: {len(variants)} prompts, {found['search']['tokens']:,} tokens: {best}\n  {told}",
            flush=True,
        )
        variants = varied(best, generator)
    for method in (SOFT_PROMPT, {"tuning_method": "lora"}):
        plan = await agent(
            "configure_lora",
            base_model=base_model,
            dataset_id=golden["train_dataset_id"],
            **judged,
            **method,
            **training,
        )
        run = await agent("start_training", plan_id=plan["plan_id"])
        found = await agent("evaluate_model", model=run["run_id"], **judged)
        print(f"{method['tuning_method']}: {found['comparison']['message']}", flush=True)
    return golden["golden_set_id"], Leaderboard.model_validate(found["leaderboard"])


def print_table(board: Leaderboard) -> None:
    """The leaderboard, a line for each candidate."""
    print(f"\n{'':>3} {board.metric:>24}  {'kind':12} {'prompt':>7} {'answer':>7} {'to make':>9}  candidate")
    for place, entry in enumerate(board.entries, start=1):
        score = f"{entry.score.value:.3f} [{entry.score.low:.3f}, {entry.score.high:.3f}]"
        answer = "-" if entry.cost.answer_tokens is None else f"{entry.cost.answer_tokens:.0f}"
        around = "" if entry.variant is None else f" {entry.variant.model_dump(exclude_defaults=True)}"
        print(
            f"{place:>3} {score:>24}  {entry.kind:12} {entry.cost.prompt_tokens:>7.0f} {answer:>7} "
            f"{entry.cost.making_tokens:>9,}  {entry.model}{around}"
        )
    print(f"On {board.rows} rows; costs in tokens. {board.message}")


async def main(arguments: argparse.Namespace, store: Path) -> None:
    async with Client(server_of(store), mode="auto") as client:
        agent = Agent(client)
        golden_set_id, board = await compete(
            agent, arguments.base_model, arguments.source, arguments.rounds, epochs=arguments.epochs
        )
        print_table(board)
        first = board.entries[0]
        around = [] if first.variant is None else [first.variant.model_dump(exclude_defaults=True)]
        verdict = await agent(
            "evaluate_model",
            model=first.model,
            golden_set_id=golden_set_id,
            half="test",
            **({"variants": around} if around else {}),
        )
        print(f"On the test half: {verdict['comparison']['message']}")
    end_host(Store(store))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base-model", default="demo")
    parser.add_argument("--source", default="demo")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--epochs", type=float, default=3)
    with tempfile.TemporaryDirectory() as scratch:
        anyio.run(main, parser.parse_args(), Path(scratch) / "store")

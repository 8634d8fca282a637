"""`tunesmith demo`: an MCP client that goes the whole way through the real server, and shows each call.

It is a client like any other: it starts `tunesmith serve` as a subprocess and knows nothing but the tools' answers.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from tqdm import tqdm

from tunesmith.cli.observation import open_workspace
from tunesmith.cli.report import write_page
from tunesmith.jobs.paths import Store

_AIM_BASE, _AIM_TUNED = 0.2, 0.9
SAMPLE_PROMPTS = (
    "Write the order as a record: Rosa bought seven green lamps at the station on Sunday.",
    "Write the order as a record: At the market, Ben paid for two yellow chairs.",
    "Write the order as a record: Lena bought twelve white cups from Tom at the harbour.",
)
"""Sentences of the demo's world that stand in none of its rows."""
_SHOWN_CHARACTERS = 160


class CallFailed(Exception):
    """A tool answered with an error; the text is its message."""


@dataclass
class Conversation:
    """Calls tools and shows each call with a short result."""

    client: Client
    bar: tqdm[None] | None = None
    started: float = field(default_factory=time.monotonic)

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Call a tool; follow its handle when the work outlasts the call.

        Raises:
            CallFailed: the tool, or the work behind it, failed.
        """
        shown = json.dumps(arguments, ensure_ascii=False)
        print(f"\n[{time.monotonic() - self.started:5.1f} s] {tool} {textwrap.shorten(shown, 300)}")
        answer = await self._ask(tool, arguments)
        handle = next((value for name, value in answer.items() if name.endswith("_id")), None)
        while tool != "start_training" and answer.get("state") in ("queued", "starting", "running"):
            status = await self._ask("get_status", {"run_id": handle, "wait_s": 30})
            if status["state"] not in ("queued", "starting", "running", "succeeded"):
                error = status.get("error", {})
                raise CallFailed(f"{error.get('code')}: {error.get('message')} {error.get('recovery')}")
            answer = {**answer, **status.get("result", {}), "state": status["state"]}
        return answer

    async def follow(self, run_id: str) -> dict[str, Any]:
        """Wait for a run with get_status, showing a bar from the progress notifications."""
        print(
            f"\n[{time.monotonic() - self.started:5.1f} s] get_status "
            + json.dumps({"run_id": run_id, "wait_s": 30})
        )
        with tqdm(desc="training", unit="step", dynamic_ncols=True, file=sys.stdout, mininterval=0.5) as bar:
            self.bar = bar
            while True:
                status = await self._ask("get_status", {"run_id": run_id, "wait_s": 30})
                self._move(status.get("step", 0), status.get("total_steps"))
                if "eval_loss" in status:
                    bar.set_postfix(loss=f"{status.get('loss', 0):.3f}", dev=f"{status['eval_loss']:.3f}")
                if status["state"] not in ("queued", "starting", "running", "stopping"):
                    break
        self.bar = None
        print(status["bar"])
        return status

    async def _ask(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        result = await self.client.call_tool(tool, arguments, progress_callback=self._on_progress)
        text = "".join(block.text for block in result.content if block.type == "text")
        if result.is_error:
            raise CallFailed(text)
        if self.bar is None:
            print(textwrap.indent(text.split("\nNext:")[0], "    "))
        return result.structured_content or {}

    async def _on_progress(self, progress: float, total: float | None, message: str | None) -> None:
        self._move(int(progress), int(total) if total else None)

    def _move(self, step: int, total: int | None) -> None:
        if self.bar is not None:
            self.bar.total = total
            self.bar.update(max(0, step - self.bar.n))


def run_demo(base_model: str, source: str, tuning_method: str, output: str, prompts: list[str]) -> int:
    """Go the whole way; 0 when the result is what it should be, 1 otherwise."""
    folder = Path(output).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    store = Store(Path(os.environ.get("TUNESMITH_HOME", folder / "store")).resolve())
    try:
        return anyio.run(_converse, base_model, source, tuning_method, prompts, folder, store)
    except CallFailed as failure:
        print(f"\n{failure}", file=sys.stderr)
        return 1


async def _converse(
    base_model: str, source: str, tuning_method: str, prompts: list[str], folder: Path, store: Store
) -> int:
    server = StdioServerParameters(
        command=sys.executable,
        args=["-P", "-m", "tunesmith", "serve"],
        env={**os.environ, "TUNESMITH_HOME": str(store.root)},
    )
    async with Client(server) as client:
        talk = Conversation(client)
        print(f"tunesmith serve, MCP {client.protocol_version}, store {store.root}")
        dataset = await talk.call("load_dataset", source=source)
        size = max(2, min(200, dataset["rows"] // 4))
        golden = await talk.call("build_golden_set", dataset_id=dataset["dataset_id"], size=size)
        plan = await talk.call(
            "configure_lora",
            base_model=base_model,
            dataset_id=golden["train_dataset_id"],
            golden_set_id=golden["golden_set_id"],
            tuning_method=tuning_method,
        )
        run = await talk.call("start_training", plan_id=plan["plan_id"], request_key="demo")
        run_id = run["run_id"]
        status = await talk.follow(run_id)
        if status["state"] != "succeeded":
            raise CallFailed(f"{run_id} ended {status['state']}: {status.get('error')}")
        verdict = await talk.call(
            "evaluate_model", model=run_id, golden_set_id=golden["golden_set_id"], half="test"
        )
        samples = await _samples(talk, base_model, run_id, prompts or _prompts(source))
        push = await talk.call("push_to_hub", run_id=run_id, repo_id="my-first-adapter", dry_run=True)
    seconds = time.monotonic() - talk.started
    shutil.copyfile(store.handle(run_id).loss_curve, folder / "loss.png")
    report = {
        "run_id": run_id,
        "seconds": seconds,
        "evaluation": verdict,
        "samples": samples,
        "files": push["files"],
    }
    (folder / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False))
    write_page(open_workspace(store), run_id, folder / "report.html")
    _print_table(verdict)
    _print_samples(samples)
    print(
        f"\nAdapter: {store.handle(run_id).adapter}\nReport: {folder / 'report.html'}\nTook {seconds:.0f} s."
    )
    return _judge(verdict) if base_model == "demo" and source == "demo" and tuning_method == "lora" else 0


async def _samples(
    talk: Conversation, base_model: str, run_id: str, prompts: list[str]
) -> list[dict[str, str]]:
    if not prompts:
        return []
    before = await talk.call("generate_text", model=base_model, prompts=prompts, max_new_tokens=48)
    after = await talk.call("generate_text", model=run_id, prompts=prompts, max_new_tokens=48)
    texts = zip(prompts, before["outputs"], after["outputs"], strict=True)
    return [
        {"prompt": prompt, "base": old["untrusted_text"], "tuned": new["untrusted_text"]}
        for prompt, old, new in texts
    ]


def _prompts(source: str) -> list[str]:
    return list(SAMPLE_PROMPTS) if source == "demo" else []


def _print_table(verdict: dict[str, Any]) -> None:
    print(f"\nGolden set, test half, {verdict['rows']} rows (95 % intervals)")
    print(f"{'metric':<16}{'base':>28}{'tuned':>28}")
    for metric, after in verdict["scores"].items():
        before = verdict["baseline"][metric]
        print(f"{metric:<16}{_score(before):>28}{_score(after):>28}")
    print(f"Verdict: {verdict['comparison']['verdict']}. {verdict['comparison']['message']}")


def _score(score: dict[str, float]) -> str:
    return f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"


def _print_samples(samples: list[dict[str, str]]) -> None:
    for sample in samples:
        print(
            f"\nprompt: {_line(sample['prompt'])}\n  base:  {_line(sample['base'])}\n  tuned: {_line(sample['tuned'])}"
        )


def _line(text: str) -> str:
    return " ".join(text.split())[:_SHOWN_CHARACTERS]


def _judge(verdict: dict[str, Any]) -> int:
    """The embedded demo has to show what it promises; anything else is a fault of ours."""
    base, tuned = (verdict[side]["exact_match"]["value"] for side in ("baseline", "scores"))
    if base <= _AIM_BASE and tuned >= _AIM_TUNED:
        return 0
    print(f"\nThe demo fell short of its aim: exact match {base:.0%} -> {tuned:.0%}.", file=sys.stderr)
    return 1

"""Findings that take minutes, or two datasets, to provoke: by real signals and real trainings, over a real client."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import anyio
import pytest

from tests.acceptance.conftest import small_plan, write
from tests.support.server import talk_to
from tunesmith import demo
from tunesmith.jobs.lease import holder
from tunesmith.jobs.paths import Store

pytestmark = pytest.mark.anyio

STEPS = 100_000
"""More than a run gets done in the minutes of a test."""


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_a_run_whose_process_is_frozen_for_minutes_is_called_stalled_and_then_goes_on(
    shared_store: Path,
) -> None:
    async with talk_to(shared_store) as talk:
        plan = await small_plan(talk, shared_store, max_steps=STEPS)
        run_id = (await talk("start_training", plan_id=plan["plan_id"]))["run_id"]
        with anyio.fail_after(120):
            while (await talk("get_status", run_id=run_id, wait_s=5)).get("step", 0) < 5:
                pass
        pid = holder(Store(shared_store).handle(run_id).lease)
        assert pid is not None

        os.kill(pid, signal.SIGSTOP)
        try:
            with anyio.fail_after(420):
                found = {}
                while "stalled" not in found:
                    status = await talk("get_status", run_id=run_id, wait_s=50)
                    found = {finding["code"]: finding for finding in status["findings"]}
        finally:
            os.kill(pid, signal.SIGCONT)

        assert status["state"] == "running"
        assert found["stalled"]["evidence"]["silent_s"] >= 300
        assert found["stalled"]["fix"] == {
            "tool": "stop_training",
            "arguments": {"run_id": run_id},
            "why": "then resume from the last commit",
        }
        await talk("stop_training", run_id=run_id)
        ended = await talk.ended(run_id)
        assert ended["state"] == "stopped"
        assert "stalled" not in {finding["code"] for finding in ended.get("findings", [])}


def north(order: dict[str, str]) -> dict[str, str]:
    """A sentence in, a record out: what the demo model cannot do yet."""
    return {**order, "instruction": f"north: {order['instruction']}", "shop": "north"}


def south(order: dict[str, str], number: int) -> dict[str, str]:
    """A sentence out: what it can do."""
    sentence = order["instruction"].partition("record: ")[2]
    return {"instruction": f"south: Tell order {number}.", "response": sentence, "shop": "south"}


@pytest.mark.slow
async def test_a_slice_that_was_trained_with_other_answers_is_named_while_the_whole_got_better(
    shared_store: Path,
) -> None:
    orders = [json.loads(line) for line in demo.dataset_path().read_text().splitlines()[:400]]
    sound = [north(order) if at % 3 else south(order, at) for at, order in enumerate(orders)]
    spoiled = [{**row, "response": order["response"]} for row, order in zip(sound, orders, strict=True)]
    write(shared_store.parent / "shops.jsonl", sound[:120])
    write(shared_store.parent / "spoiled.jsonl", spoiled[120:])
    async with talk_to(shared_store) as talk:
        held_out = await talk("load_dataset", source=str(shared_store.parent / "shops.jsonl"))
        golden = await talk(
            "build_golden_set", dataset_id=held_out["dataset_id"], size=100, stratify_by="shop"
        )
        dataset = await talk("load_dataset", source=str(shared_store.parent / "spoiled.jsonl"))
        plan = await talk("configure_lora", base_model="demo", dataset_id=dataset["dataset_id"], epochs=3)
        run_id = (await talk("start_training", plan_id=plan["plan_id"]))["run_id"]
        assert (await talk.ended(run_id))["state"] == "succeeded"

        found = await talk(
            "evaluate_model", model=run_id, golden_set_id=golden["golden_set_id"], metrics=["loss"]
        )

    assert found["comparison"]["verdict"] == "improved"
    (finding,) = [finding for finding in found["findings"] if finding["code"] == "poor_slice"]
    assert "shop='south'" in finding["message"] and finding["severity"] == "warn"
    assert finding["evidence"]["tuned"] > finding["evidence"]["base"]


@pytest.mark.slow
async def test_a_base_whose_weights_were_never_trained_is_said_to_guess(shared_store: Path) -> None:
    transformers = pytest.importorskip("transformers")
    folder = shared_store.parent / "untrained"
    shutil.copytree(demo.base_model_path(), folder)
    config = transformers.AutoConfig.from_pretrained(folder)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    async with talk_to(shared_store) as talk:
        known = await small_plan(talk, shared_store)
        plan = await talk(
            "configure_lora",
            base_model=str(folder),
            max_steps=4,
            dataset_id=known["dataset_id"],
            golden_set_id=known["golden_set_id"],
        )
        run_id = (await talk("start_training", plan_id=plan["plan_id"]))["run_id"]
        found = {finding["code"] for finding in (await talk.ended(run_id))["findings"]}

    assert "guessing_base" in found

"""Does cleaning help? The same dirtied rows, trained on as they are and cleaned, judged on the same golden set."""

from __future__ import annotations

import json
import random

import pytest

from tests.acceptance.conftest import write
from tests.support.server import talk_to
from tunesmith import demo

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

REFUSAL = "I'm sorry, but as an AI language model I am not able to help with that request."


def dirtied(rows):
    """Two thirds of the rows spoiled, most of them by a teacher that refuses; and some questions answered twice."""
    chance = random.Random(0)
    spoiled = []
    for row in rows:
        kind = chance.random()
        answer = row["response"]
        if kind < 0.5:
            answer = REFUSAL
        elif kind < 0.56:
            answer = chance.choice(["TODO", "N/A", "[insert answer here]"])
        elif kind < 0.62:
            answer = " ".join([answer.split(";")[0]] * 12)
        elif kind < 0.68:
            answer = row["instruction"]
        spoiled.append({**row, "response": answer})
    wrong = [
        {"instruction": row["instruction"], "response": "Nothing of the kind was written down here."}
        for row in chance.sample(rows, len(rows) // 10)
    ]
    return [*spoiled, *wrong]


async def trained(talk, dataset_id, golden_set_id):
    plan = await talk("configure_lora", base_model="demo", dataset_id=dataset_id)
    run = await talk("start_training", plan_id=plan["plan_id"], request_key="once")
    status = await talk.ended(run["run_id"])
    assert status["state"] == "succeeded", status
    scores = await talk("evaluate_model", model=run["run_id"], golden_set_id=golden_set_id, half="test")
    return scores["scores"]


async def test_a_model_trained_on_cleaned_rows_beats_one_trained_on_the_dirty_ones(shared_store):
    rows = [json.loads(line) for line in demo.dataset_path().read_text().splitlines()]
    held_out, rest = rows[:160], rows[160:]
    write(shared_store.parent / "held-out.jsonl", held_out)
    write(shared_store.parent / "dirty.jsonl", dirtied(rest))
    async with talk_to(shared_store) as talk:
        sound = await talk("load_dataset", source=str(shared_store.parent / "held-out.jsonl"))
        golden = (await talk("build_golden_set", dataset_id=sound["dataset_id"], size=80))["golden_set_id"]
        dirty = await talk("load_dataset", source=str(shared_store.parent / "dirty.jsonl"))
        cleaned = await talk("clean_dataset", dataset_id=dirty["dataset_id"])
        without = await trained(talk, dirty["dataset_id"], golden)
        with_cleaning = await trained(talk, cleaned["dataset_id"], golden)
    print("\nchecklist of the dirty rows", dirty["checklist"])
    print("dropped", cleaned["dropped"], "of", cleaned["rows_before"], "left", cleaned["rows"])
    for name in ("loss", "exact_match"):
        print(f"{name:12} dirty {without[name]}  cleaned {with_cleaning[name]}")
    assert with_cleaning["loss"]["high"] < without["loss"]["low"]
    assert with_cleaning["exact_match"]["low"] > without["exact_match"]["high"]

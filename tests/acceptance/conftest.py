"""One store for the whole module, so that its host is warmed up once."""

from __future__ import annotations

import json

import pytest

from tests.conftest import end_processes
from tunesmith import demo
from tunesmith.jobs.paths import Store

CHAT_WORDS = ("hello", "thanks", "where", "when", "please", "again", "morning", "evening")


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory):
    """A store, and beside it the demo's rows in each of the three formats."""
    folder = tmp_path_factory.mktemp("shared")
    rows = [json.loads(line) for line in demo.dataset_path().read_text().splitlines()[:160]]
    write(folder / "instruction.jsonl", rows)
    write(
        folder / "chat.jsonl",
        [
            {
                "messages": [
                    {"role": "user", "content": row["instruction"]},
                    {"role": "assistant", "content": row["response"]},
                ]
            }
            for row in rows
        ],
    )
    write(
        folder / "completion.jsonl",
        [{"prompt": row["instruction"] + " ", "completion": row["response"]} for row in rows],
    )
    yield folder / "store"
    end_processes(Store(folder / "store"))


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


async def small_plan(talk, store, max_steps=6):
    """A plan on the instruction rows, with its dataset_id and golden_set_id."""
    dataset = await talk("load_dataset", source=str(store.parent / "instruction.jsonl"))
    golden = await talk("build_golden_set", dataset_id=dataset["dataset_id"], size=24)
    handles = {"dataset_id": golden["train_dataset_id"], "golden_set_id": golden["golden_set_id"]}
    plan = await talk("configure_lora", base_model="demo", max_steps=max_steps, **handles)
    return {**plan, **handles}

"""With ../shared/material, where it is present: small real models with tokenizers that lack things."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import pytest

from tests.training import tiny
from tunesmith.data.rows import Message, Row
from tunesmith.jobs.paths import Store
from tunesmith.training import train_job

MATERIAL = Path(__file__).resolve().parents[3] / "shared" / "material"
STORIES = MATERIAL / "models" / "stories260K"
TINYTALK = MATERIAL / "models" / "tinytalk-chat"

pytestmark = pytest.mark.skipif(not MATERIAL.is_dir(), reason="../shared/material is not here")


def alpaca_rows(start: int, count: int) -> list[Row]:
    records = json.loads((MATERIAL / "data/instruction/alpaca_2k.json").read_text(encoding="utf-8"))
    return [
        Row(
            number,
            prompt=f"### Instruction\n{record['instruction']}\n{record['input']}\n\n### Response\n",
            completion=record["output"],
        )
        for number, record in enumerate(records[start : start + count], start=1)
    ]


def chat_rows(start: int, count: int) -> list[Row]:
    path = MATERIAL / "data/chat/sgd_dev_001-007.messages.jsonl"
    with path.open(encoding="utf-8") as lines:
        records = [json.loads(line) for line in islice(lines, start, start + count)]
    return [
        Row(number, messages=tuple(Message(turn["role"], turn["content"]) for turn in record["messages"]))
        for number, record in enumerate(records, start=1)
    ]


def test_lora_on_stories_lowers_the_held_out_loss_of_instructions(store: Store) -> None:
    """A tokenizer without a padding token and a vocabulary of 512."""
    dataset = tiny.add_dataset(store, alpaca_rows(0, 80))
    golden = tiny.add_golden_set(store, dataset, alpaca_rows(1900, 8))
    request = tiny.configure_request(STORIES, dataset, golden, max_steps=10, max_length=128)

    outcome = train_job.run(tiny.make_run(store, tiny.make_plan(store, request)))

    assert outcome.eval_loss is not None and outcome.base_eval_loss is not None
    assert outcome.eval_loss < outcome.base_eval_loss - 0.3


def test_lora_on_tinytalk_lowers_the_held_out_loss_of_chats_it_does_not_know(store: Store) -> None:
    """One token for beginning, end, unknown and padding; a template with generation markers; GPT-Neo."""
    dataset = tiny.add_dataset(store, chat_rows(0, 32), "messages")
    golden = tiny.add_golden_set(store, dataset, chat_rows(300, 6), "messages")
    request = tiny.configure_request(TINYTALK, dataset, golden, max_steps=6, max_length=128, batch_size=4)
    plan = tiny.make_plan(store, request)
    assert (plan.config.chat_template, plan.config.loss_on) == ("model", "assistant")

    outcome = train_job.run(tiny.make_run(store, plan))

    assert outcome.eval_loss is not None and outcome.base_eval_loss is not None
    assert outcome.eval_loss < outcome.base_eval_loss - 0.05

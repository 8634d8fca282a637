"""Real small models on real data, where ../shared/material is present. The figures go to stdout (pytest -s)."""

from __future__ import annotations

import json
import os

import pytest

from tests.support.plain_peft import answers
from tests.support.server import talk_to
from tunesmith import demo
from tunesmith.jobs.files import read_document
from tunesmith.jobs.paths import Store
from tunesmith.schemas.plans import Plan

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(900)]


async def tune(store, material, model, rows, steps):
    """The evaluation of a LoRA on the test half, and the status of its run."""
    async with talk_to(store, roots=str(material)) as talk:
        dataset = await talk("load_dataset", source=str(material / "data" / rows))
        golden = await talk("build_golden_set", dataset_id=dataset["dataset_id"], size=60)
        plan = await talk(
            "configure_lora",
            base_model=str(material / "models" / model),
            dataset_id=golden["train_dataset_id"],
            golden_set_id=golden["golden_set_id"],
            max_steps=steps,
        )
        run_id = (await talk("start_training", plan_id=plan["plan_id"]))["run_id"]
        status = await talk.ended(run_id)
        assert status["state"] == "succeeded", status
        found = await talk(
            "evaluate_model",
            model=run_id,
            golden_set_id=golden["golden_set_id"],
            half="test",
            metrics=["loss"],
        )
    before, after = found["baseline"]["loss"], found["scores"]["loss"]
    print(
        f"\n{model} on {rows}, {steps} steps: "
        f"test loss {before['value']:.3f} [{before['low']:.3f}, {before['high']:.3f}] -> "
        f"{after['value']:.3f} [{after['low']:.3f}, {after['high']:.3f}], {found['comparison']['verdict']}; "
        f"dev loss {status['base_eval_loss']:.3f} -> {status['eval_loss']:.3f}; "
        f"findings {[finding['code'] for finding in status['findings']]}"
    )
    return found, status


async def test_a_chat_model_learns_chats_of_another_kind(store_path, material):
    found, _ = await tune(store_path, material, "tinytalk-chat", "chat/sgd_dev_001-007.messages.jsonl", 150)
    assert found["comparison"]["verdict"] == "improved"
    assert found["scores"]["loss"]["value"] < found["baseline"]["loss"]["value"] - 0.3


async def test_a_chat_model_gains_next_to_nothing_on_chats_that_it_knows_and_the_reports_say_just_that(
    store_path, material
):
    found, status = await tune(
        store_path, material, "tinytalk-chat", "chat/tinytalk_chat_val.messages.jsonl", 60
    )
    assert abs(found["scores"]["loss"]["value"] - found["baseline"]["loss"]["value"]) < 0.1
    difference = found["comparison"]["loss_difference"]
    improved = difference["high"] < 0
    assert (found["comparison"]["verdict"] == "improved") == improved
    gained_a_percent = status["eval_loss"] < 0.99 * status["base_eval_loss"]
    told = {"no_gain", "worse_than_base"} & {finding["code"] for finding in status["findings"]}
    assert bool(told) is not gained_a_percent


async def test_a_story_model_lowers_its_loss_on_instructions(store_path, material):
    found, _ = await tune(store_path, material, "stories260K", "instruction/alpaca_2k.json", 200)
    assert found["comparison"]["verdict"] == "improved"
    assert found["scores"]["loss"]["value"] < found["baseline"]["loss"]["value"] - 0.3


METHODS = {
    "full": {"tuning_method": "full"},
    "lora": {"tuning_method": "lora"},
    "dora": {"tuning_method": "lora", "use_dora": True, "use_rslora": True},
    "pissa": {"tuning_method": "lora", "init_lora_weights": "pissa", "r": 8},
    "nf4": {"tuning_method": "qlora"},
    "int8": {"tuning_method": "qlora", "quantization": "int8"},
    "prompt": {"tuning_method": "prompt_tuning"},
    "prefix": {"tuning_method": "prefix_tuning"},
}
QUESTIONS = {
    "demo": json.loads(demo.dataset_path().read_text().splitlines()[0])["instruction"],
    "tinytalk-chat": "I want to book a table for two.",
    "stories260K": "Tim saw a red hat, number 500. What colour was it?",
}
MODELS = {
    "demo": None,
    "tinytalk-chat": "chat/sgd_dev_001-007.messages.jsonl",
    "stories260K": None,  # a quarter of a million parameters: no answer of theirs to real instructions has an end
}


def write_colours(folder):
    """Questions that a model of 260 thousand parameters can learn to answer in a word."""
    things, colours = ("cat", "dog", "ball", "house", "tree", "car", "bird"), ("red", "blue", "green")
    rows = [
        {
            "instruction": f"Tim saw a {colours[at % 3]} {things[at % 7]}, number {at}. What colour was it?",
            "response": colours[at % 3],
        }
        for at in range(300)
    ]
    path = folder / "colours.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("method", METHODS)
async def test_every_method_tunes_every_model_through_the_tools(request, store_path, tmp_path, model, method):
    """The held-out loss falls, an answer ends by itself, and plain PEFT gives the same logits.

    stories260K has never learned its end token, which a learned prompt cannot change: then that is what is told.
    """
    material = None if model == "demo" else request.getfixturevalue("material")
    if model == "stories260K":
        rows = str(write_colours(tmp_path))
    else:
        rows = str(demo.dataset_path()) if material is None else str(material / "data" / MODELS[model])
    base = "demo" if material is None else str(material / "models" / model)
    roots = os.pathsep.join(
        [str(demo.dataset_path().parent if material is None else material), str(tmp_path)]
    )
    async with talk_to(store_path, roots=roots) as talk:
        dataset = await talk("load_dataset", source=rows)
        golden = await talk("build_golden_set", dataset_id=dataset["dataset_id"], size=40)
        plan = await talk(
            "configure_lora",
            base_model=base,
            dataset_id=golden["train_dataset_id"],
            golden_set_id=golden["golden_set_id"],
            max_steps=100,
            max_length=128,
            **METHODS[method],
        )
        run_id = (await talk("start_training", plan_id=plan["plan_id"]))["run_id"]
        status = await talk.ended(run_id)
        assert status["state"] == "succeeded", status
        assert status["eval_loss"] < status["base_eval_loss"] - 0.02
        print(f"\n{model} {method}: dev loss {status['base_eval_loss']:.3f} -> {status['eval_loss']:.3f}")
        asked = QUESTIONS[model]
        written = await talk("generate_text", model=run_id, prompts=[asked], max_new_tokens=200)
        told = {finding["code"] for finding in status["findings"]}
        if model == "stories260K" and method in ("prompt", "prefix"):
            assert "end_not_learnable" in told
        else:
            assert written["outputs"][0]["stopped"] == "eos"
    compare_with_plain_peft(Store(store_path), run_id, method)


def compare_with_plain_peft(store, run_id, way):
    """The logits behind one prompt, loaded by Tunesmith and without it."""
    import torch

    from tunesmith.training.model import load_run_model

    paths = store.handle(run_id)
    model, tokenizer = load_run_model(paths, read_document(paths.plan, Plan))
    ids = tokenizer("Hello, who are you?", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        own = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, -1]
    plain = answers({paths.adapter: way}, "Hello, who are you?")[paths.adapter]
    torch.testing.assert_close(torch.tensor(plain["logits"]), own, atol=1e-3, rtol=1e-3)

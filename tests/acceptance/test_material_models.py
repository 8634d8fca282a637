"""Real small models on real data, where ../shared/material is present. The figures go to stdout (pytest -s)."""

from __future__ import annotations

import pytest

from tests.support.server import talk_to

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


async def test_a_chat_model_gains_nothing_on_chats_that_it_knows_and_the_reports_say_so(store_path, material):
    found, status = await tune(
        store_path, material, "tinytalk-chat", "chat/tinytalk_chat_val.messages.jsonl", 60
    )
    assert found["comparison"]["verdict"] != "improved"
    assert {"no_gain", "worse_than_base"} & {finding["code"] for finding in status["findings"]}


async def test_a_story_model_lowers_its_loss_on_instructions(store_path, material):
    found, _ = await tune(store_path, material, "stories260K", "instruction/alpaca_2k.json", 200)
    assert found["comparison"]["verdict"] == "improved"
    assert found["scores"]["loss"]["value"] < found["baseline"]["loss"]["value"] - 0.3

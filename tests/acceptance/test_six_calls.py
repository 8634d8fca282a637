"""The six calls of a fine-tune, by the official client over stdio, in both eras."""

from __future__ import annotations

import itertools
import json

import pytest

from tests.acceptance.conftest import small_plan
from tests.support.server import ERAS, talk_to
from tunesmith.jobs.paths import Store

pytestmark = pytest.mark.anyio
FORMATS = ("instruction", "chat", "completion")
METHODS = ("full", "lora", "qlora", "prompt_tuning", "prefix_tuning")


PAIRS = list(itertools.product(FORMATS, METHODS))


# Each era sees every format, and every method at least once: fifteen fine-tunes instead of thirty. Plain text differs
# from instructions in its template alone, so that one method stands for it here.
@pytest.mark.parametrize(
    ("data_format", "method", "era"),
    [
        pytest.param(
            data_format,
            method,
            ERAS[place % 2],
            marks=[pytest.mark.slow] if data_format == "completion" and method != "lora" else [],
        )
        for place, (data_format, method) in enumerate(PAIRS)
    ],
)
async def test_the_six_calls_end_in_an_adapter_that_would_be_published(
    shared_store, data_format, method, era
):
    async with talk_to(shared_store, era) as talk:
        dataset = await talk("load_dataset", source=str(shared_store.parent / f"{data_format}.jsonl"))
        assert (dataset["format"], dataset["rows"]) == (data_format, 160)
        golden = await talk("build_golden_set", dataset_id=dataset["dataset_id"], size=24)
        plan = await talk(
            "configure_lora",
            base_model="demo",
            dataset_id=golden["train_dataset_id"],
            golden_set_id=golden["golden_set_id"],
            tuning_method=method,
            max_steps=6,
        )
        assert plan["config"]["tuning_method"] == method
        assert "⟦" in plan["example"]["untrusted_text"]
        assert 0 < plan["example"]["loss_tokens"] < plan["example"]["tokens"]
        assert plan["reasons"].keys() >= {"learning_rate", "epochs", "batch_size", "max_length"}

        started = await talk("start_training", plan_id=plan["plan_id"], request_key="once")
        again = await talk("start_training", plan_id=plan["plan_id"], request_key="once")
        assert (again["run_id"], again["created"]) == (started["run_id"], False)
        status = await talk.ended(started["run_id"])
        assert status["state"] == "succeeded", status
        assert (status["step"], status["total_steps"], status["progress"]) == (6, 6, 1.0)
        assert status["eval_loss"] != status["base_eval_loss"]
        assert status["bar"].startswith(f"{started['run_id']} succeeded [####################] 100%")

        pushed = await talk("push_to_hub", run_id=started["run_id"], repo_id="someone/adapter", dry_run=True)
        names = {file["path"] for file in pushed["files"]}
        weights = "model.safetensors" if method == "full" else "adapter_model.safetensors"
        assert {weights, "README.md", "plan.json", "tokenizer.json"} <= names
        assert pushed["private"] is True
        assert not pushed.get("commit")


@pytest.mark.row("R4")
async def test_a_run_survives_the_death_of_its_server_and_a_new_one_reports_its_end(shared_store):
    import os
    import signal

    async with talk_to(shared_store) as talk:
        dataset = await talk("load_dataset", source=str(shared_store.parent / "instruction.jsonl"))
        golden = await talk("build_golden_set", dataset_id=dataset["dataset_id"], size=24)
        handles = {"dataset_id": golden["train_dataset_id"], "golden_set_id": golden["golden_set_id"]}
        plan = await talk("configure_lora", base_model="demo", max_steps=150, **handles)
        run_id = (await talk("start_training", plan_id=plan["plan_id"]))["run_id"]
        status = (await talk.raw("get_status", run_id=run_id, wait_s=20)).structured_content
        assert status["state"] in ("starting", "running", "queued")
        pid = server_pid(os.getpid())
        os.kill(pid, signal.SIGKILL)
    async with talk_to(shared_store) as talk:
        status = await talk.ended(run_id)
        assert (status["state"], status["step"]) == ("succeeded", 150)


def server_pid(parent):
    """The pid of our child that serves."""
    from pathlib import Path

    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            arguments = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if int(fields[1]) == parent and b"serve" in arguments:
            return int(entry.name)
    raise LookupError("no server")


async def test_a_trial_says_go_and_leads_to_the_full_run(shared_store):
    async with talk_to(shared_store) as talk:
        plan = await small_plan(talk, shared_store)
        run_id = (await talk("start_training", plan_id=plan["plan_id"], mode="smoke"))["run_id"]
        status = await talk.ended(run_id)
        assert status["smoke"]["go"] is True, status
        assert status["smoke"]["reasons"]
        assert status["next"][0]["tool"] == "start_training"
        assert status["next"][0]["arguments"]["mode"] == "full"
        text = await talk.error("push_to_hub", run_id=run_id, repo_id="someone/trial", dry_run=True)
        assert text.startswith("invalid_argument: ")
        assert "is a trial" in text


async def test_a_run_that_is_stopped_is_saved_and_resumed_to_its_end(shared_store):
    async with talk_to(shared_store) as talk:
        plan = await small_plan(talk, shared_store, max_steps=120)
        run_id = (await talk("start_training", plan_id=plan["plan_id"]))["run_id"]
        while not (await talk("get_status", run_id=run_id, wait_s=1)).get("step"):
            pass
        await talk("stop_training", run_id=run_id)
        stopped = await talk.ended(run_id)
        assert stopped["state"] == "stopped"
        assert stopped["next"][0]["arguments"] == {"plan_id": plan["plan_id"], "resume_run_id": run_id}
        await talk("start_training", plan_id=plan["plan_id"], resume_run_id=run_id)
        ended = await talk.ended(run_id)
        assert (ended["state"], ended["step"], ended["attempt"]) == ("succeeded", 120, 2)


async def test_evaluating_generating_and_comparing_work_on_the_run_and_on_its_base(shared_store):
    async with talk_to(shared_store) as talk:
        plan = await small_plan(talk, shared_store)
        golden_set_id = plan["golden_set_id"]
        run_id = (await talk("start_training", plan_id=plan["plan_id"]))["run_id"]
        await talk.ended(run_id)
        tuned = await talk("evaluate_model", model=run_id, golden_set_id=golden_set_id)
        base = await talk("evaluate_model", model="demo", golden_set_id=golden_set_id)
        assert tuned["baseline"]["loss"]["value"] == pytest.approx(base["scores"]["loss"]["value"], rel=1e-4)
        assert (
            tuned["scores"]["loss"]["low"]
            < tuned["scores"]["loss"]["value"]
            < tuned["scores"]["loss"]["high"]
        )
        assert tuned["comparison"]["verdict"] in ("improved", "no_measurable_change", "worse")
        written = await talk("generate_text", model=run_id, prompts=["Write the order as a record: x", "y"])
        assert [output["prompt"] for output in written["outputs"]] == [0, 1]
        compared = await talk("compare_models", a=run_id, b="demo", golden_set_id=golden_set_id)
        again = await talk("compare_models", a=run_id, b="demo", golden_set_id=golden_set_id)
        assert compared == again, "the answers are written once"
        same = sum("same answer twice" in note for note in compared["notes"])
        assert len(compared["pairs"]) == min(10, compared["total"])
        assert compared["total"] > 0 or same


async def test_what_is_read_by_uri_agrees_with_the_tools(shared_store):
    async with talk_to(shared_store) as talk:
        plan = await small_plan(talk, shared_store)
        run_id = (await talk("start_training", plan_id=plan["plan_id"]))["run_id"]
        status = await talk.ended(run_id)
        run = json.loads((await talk.client.read_resource(f"run://{run_id}")).contents[0].text)
        assert (run["state"], run["step"]) == (status["state"], status["step"])
        log = (await talk.client.read_resource(f"run://{run_id}/log")).contents[0].text
        assert log.startswith("untrusted_text")
        card = json.loads(
            (await talk.client.read_resource(f"dataset://{plan['dataset_id']}")).contents[0].text
        )
        assert card["golden_set_id"] == plan["golden_set_id"]
        row = json.loads((shared_store.parent / "instruction.jsonl").read_text().splitlines()[0])
        assert row["response"] not in json.dumps(card)
        listed = await talk("list_runs", query="succeeded lora")
        assert run_id in [found["run_id"] for found in listed["runs"]]
        assert Store(shared_store).handle(run_id).loss_curve.read_bytes().startswith(b"\x89PNG")


async def test_a_waiting_client_is_told_progress_that_grows(shared_store):
    async with talk_to(shared_store) as talk:
        dataset = await talk("load_dataset", source=str(shared_store.parent / "instruction.jsonl"))
        # Without a golden set there is no evaluation, which would be news and end the waiting.
        plan = await talk(
            "configure_lora", base_model="demo", dataset_id=dataset["dataset_id"], max_steps=2000
        )
        run_id = (await talk("start_training", plan_id=plan["plan_id"]))["run_id"]
        told: list[float] = []
        for _ in range(8):  # a busy machine may take longer than a call to get to the first step
            talk.progress.clear()
            await talk.raw("get_status", run_id=run_id, wait_s=5)
            told = [progress for progress, _, _ in talk.progress]
            if len(told) > 1:
                break
        assert len(told) > 1
        assert all(before < after for before, after in itertools.pairwise(told))
        await talk("stop_training", run_id=run_id)
        assert (await talk.ended(run_id))["state"] == "stopped"

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training import tiny
from tunesmith.jobs.files import read_document
from tunesmith.jobs.paths import Store
from tunesmith.schemas.plans import Plan
from tunesmith.training import train_job
from tunesmith.training.model import load_run_model
from tunesmith.training.rendering import Renderer

PLAIN_PEFT = """
import json, sys, torch
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer
folder, prompt = sys.argv[1:]
model = AutoPeftModelForCausalLM.from_pretrained(folder).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
ids = tokenizer(prompt, return_tensors="pt")
out = model.generate(**ids, max_new_tokens=20, do_sample=False)[0, ids["input_ids"].shape[1]:]
assert not [name for name in sys.modules if name.startswith("tunesmith")]
print(json.dumps(tokenizer.decode(out, skip_special_tokens=False)))
"""


def test_plain_peft_loads_the_adapter_and_answers_then_stops(base: Path, store: Store) -> None:
    dataset = tiny.add_dataset(store, tiny.green_rows(40))
    plan = tiny.make_plan(store, tiny.configure_request(base, dataset, learning_rate=2e-2, max_steps=40))
    job = tiny.make_run(store, plan)
    train_job.run(job)

    command = [sys.executable, "-c", PLAIN_PEFT, str(job.paths.adapter), "7 sky: "]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120, cwd="/").stdout

    answer = json.loads(printed.splitlines()[-1])
    assert answer == f"green{tiny.EOS}", "a model that never stops would go on to 20 tokens"
    assert _answer(job, plan, "7 sky: ") == answer


def test_the_adapter_carries_the_plan_that_made_it(base: Path, store: Store) -> None:
    dataset = tiny.add_dataset(store, tiny.green_rows(8))
    plan = tiny.make_plan(store, tiny.configure_request(base, dataset, max_steps=1))
    job = tiny.make_run(store, plan)
    train_job.run(job)

    assert read_document(job.paths.adapter / "plan.json", Plan) == plan


def test_an_adapter_of_a_hub_model_names_the_model_and_its_commit(
    base: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.training import base_model

    monkeypatch.setattr(base_model, "_from_hub", lambda name, revision: (base, "c0ffee"))
    dataset = tiny.add_dataset(store, tiny.green_rows(8))
    request = tiny.configure_request(base, dataset, max_steps=1).model_copy(
        update={"base_model": "someone/tiny", "base_model_kind": "hub", "base_model_path": None}
    )
    job = tiny.make_run(store, tiny.make_plan(store, request))
    train_job.run(job)

    config = json.loads((job.paths.adapter / "adapter_config.json").read_bytes())
    assert (config["base_model_name_or_path"], config["revision"]) == ("someone/tiny", "c0ffee")


def test_chat_training_learns_the_assistants_turns_and_keeps_the_template(base: Path, store: Store) -> None:
    dataset = tiny.add_dataset(store, tiny.chat_rows(40), "messages")
    golden = tiny.add_golden_set(store, dataset, tiny.chat_rows(5), "messages")
    plan = tiny.make_plan(
        store, tiny.configure_request(base, dataset, golden, learning_rate=2e-2, max_steps=30)
    )
    assert (plan.config.loss_on, plan.config.chat_template) == ("assistant", "tunesmith")
    job = tiny.make_run(store, plan)

    outcome = train_job.run(job)

    assert outcome.eval_loss is not None and outcome.base_eval_loss is not None
    assert outcome.eval_loss < outcome.base_eval_loss / 2
    _, tokenizer = load_run_model(job.paths, plan)
    assert "<|assistant|>" in tokenizer.chat_template
    assert Renderer(tokenizer, "messages", None).chat_template == "tunesmith"


def _answer(job: object, plan: Plan, prompt: str) -> str:
    import torch

    model, tokenizer = load_run_model(job.paths, plan)  # type: ignore[attr-defined]
    ids = torch.tensor([Renderer(tokenizer, "prompt_completion", None).prompt_ids({"prompt": prompt})])
    out = model.generate(
        input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False
    )
    return str(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=False))

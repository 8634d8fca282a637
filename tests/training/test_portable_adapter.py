from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.plain_peft import answers
from tests.training import tiny
from tunesmith.jobs.files import read_document
from tunesmith.jobs.paths import Store
from tunesmith.schemas.plans import Plan
from tunesmith.training import train_job
from tunesmith.training.model import load_run_model
from tunesmith.training.rendering import Renderer

WAYS: dict[str, dict[str, Any]] = {
    "full": {"tuning_method": "full", "learning_rate": 1e-2},
    "lora": {"tuning_method": "lora", "learning_rate": 2e-2},
    "dora": {"tuning_method": "lora", "learning_rate": 2e-2, "use_dora": True, "use_rslora": True},
    "pissa": {"tuning_method": "lora", "learning_rate": 1e-2, "init_lora_weights": "pissa"},
    "olora": {"tuning_method": "lora", "learning_rate": 5e-3, "init_lora_weights": "olora"},
    "nf4": {"tuning_method": "qlora", "learning_rate": 2e-2},
    "int8": {"tuning_method": "qlora", "learning_rate": 2e-2, "quantization": "int8"},
    "prompt": {"tuning_method": "prompt_tuning", "learning_rate": 0.3},
    "prefix": {"tuning_method": "prefix_tuning", "learning_rate": 0.3},
}
QUESTION = "7 sky: "


@pytest.mark.parametrize(
    "ways",
    [
        ("lora", "prefix"),
        pytest.param(("full", "dora", "olora", "pissa", "nf4", "int8", "prompt"), marks=pytest.mark.slow),
    ],
    ids=" ".join,
)
def test_plain_peft_loads_the_adapter_and_answers_then_stops(
    ways: tuple[str, ...], base: Path, tmp_path: Path
) -> None:
    """The logits are Tunesmith's own, and the end comes by itself."""
    import torch

    store = Store(tmp_path / "store")
    dataset = tiny.add_dataset(store, tiny.green_rows(40))
    jobs = {}
    for way in ways:
        chosen = WAYS[way]
        virtual = {"num_virtual_tokens": 8} if way in ("prompt", "prefix") else {}
        request = tiny.configure_request(base, dataset, max_steps=40, r=8 if not virtual else None, **chosen)
        request = request if way != "full" else request.model_copy(update={"r": None})
        plan = tiny.make_plan(store, request.model_copy(update=virtual))
        jobs[way] = (tiny.make_run(store, plan), plan)
        train_job.run(jobs[way][0])

    found = answers({job.paths.adapter: way for way, (job, _) in jobs.items()}, QUESTION)
    for way, (job, plan) in jobs.items():
        plain = found[job.paths.adapter]
        # A few virtual tokens before a tiny model turn it to answers, and not always to the right one.
        expected = plain["answer"][: -len(tiny.EOS)] if way == "prompt" else "green"
        assert plain["answer"] == f"{expected}{tiny.EOS}", f"{way}: one that never stops goes on to 20 tokens"
        model, tokenizer = load_run_model(job.paths, plan)
        ids = Renderer(tokenizer, "prompt_completion", None).prompt_ids({"prompt": QUESTION})
        with torch.no_grad():
            own = model(input_ids=torch.tensor([ids])).logits[0, -1]
        torch.testing.assert_close(torch.tensor(plain["logits"]), own, atol=1e-4, rtol=1e-4, msg=way)
        assert _answer(job, plan, QUESTION) == plain["answer"]


def test_the_adapter_carries_the_plan_that_made_it(base: Path, store: Store) -> None:
    dataset = tiny.add_dataset(store, tiny.green_rows(8))
    plan = tiny.make_plan(store, tiny.configure_request(base, dataset, max_steps=1))
    job = tiny.make_run(store, plan)
    train_job.run(job)

    assert read_document(job.paths.adapter / "plan.json", Plan) == plan


def test_an_adapter_of_a_hub_model_names_the_model_and_its_commit(
    base: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tunesmith.training import base_model

    snapshot = Path(shutil.copytree(base, tmp_path / "c0ffee"))  # the cache names it by its commit
    monkeypatch.setattr(base_model, "_from_hub", lambda *_: (snapshot, snapshot.name))
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

"""A base that has never learned the token which ends an answer learns it, or it is said that it cannot."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

from tests.support.plain_peft import answers
from tests.training import tiny
from tests.training.test_portable_adapter import QUESTION, WAYS
from tunesmith.jobs.context import JobContext
from tunesmith.jobs.files import read_document
from tunesmith.jobs.journal import read_events
from tunesmith.jobs.paths import Store
from tunesmith.schemas.plans import Plan
from tunesmith.training import reporting, train_job
from tunesmith.training.end_token import TWINS, untrained
from tunesmith.training.model import load_run_model

END = tiny.byte_tokenizer().eos_token_id
PAD = tiny.byte_tokenizer().pad_token_id
"""Of equals the first is written, and this one is before the end token."""
UNUSED = range(-TWINS - 2, 0)
"""Bytes that no row has."""


def never_ends(base: Path, folder: Path, tied: bool = True) -> Path:
    """The base, but the rows of its end token and of some unused bytes are one and the same."""
    shutil.copytree(base, folder)
    model = LlamaForCausalLM.from_pretrained(base)
    config = model.config
    config.tie_word_embeddings = tied
    changed = LlamaForCausalLM(config)
    weights = {**model.state_dict(), "lm_head.weight": model.get_output_embeddings().weight.detach().clone()}
    changed.load_state_dict(weights)
    with torch.no_grad():
        for layer in (changed.get_input_embeddings(), changed.get_output_embeddings()):
            crowd = torch.randn(layer.weight.shape[1], generator=torch.Generator().manual_seed(1))
            layer.weight[[END, PAD, *UNUSED]] = crowd * layer.weight.norm(dim=1).median() / crowd.norm()
    changed.save_pretrained(folder)
    return folder


def make_run(store: Store, base: Path, way: str, **changed: Any) -> JobContext:
    dataset = tiny.add_dataset(store, tiny.green_rows(40))
    numbers = {"max_steps": 40, **WAYS[way], **changed}
    request = tiny.configure_request(base, dataset, **numbers)
    return tiny.make_run(store, tiny.make_plan(store, request, {"save_steps": 10}))


def told(job: JobContext) -> list[str]:
    return [event["code"] for event in read_events(job.paths.journal) if event["event"] == "finding"]


@pytest.mark.slow
def test_every_lora_learns_the_end_token_too_and_plain_peft_answers_then_stops(
    base: Path, store: Store, tmp_path: Path
) -> None:
    tied, untied = (never_ends(base, tmp_path / name, name == "tied") for name in ("tied", "untied"))
    ways = [("lora", tied), ("pissa", tied), ("dora", tied), ("lora", untied), ("nf4", untied)]
    jobs = {make_run(store, folder, way): f"{way}, {folder.name}" for way, folder in ways}
    for job in jobs:
        train_job.run(job)
        assert told(job) == ["end_token_learned"]
    found = answers({job.paths.adapter: name for job, name in jobs.items()}, QUESTION)
    for job, name in jobs.items():
        assert found[job.paths.adapter]["answer"] == f"green{tiny.EOS}", name
        weights = load_file(job.paths.adapter / "adapter_model.safetensors")
        assert any("trainable_tokens_delta" in weight for weight in weights), name


def test_without_that_no_lora_could_end_an_answer(
    base: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tunesmith.training.methods.untrained", lambda *_: [])
    job = make_run(store, never_ends(base, tmp_path / "base"), "lora")
    train_job.run(job)
    model, tokenizer = load_run_model(job.paths, read_document(job.paths.plan, Plan))
    with torch.no_grad():
        likely = model(torch.tensor([tokenizer.encode(f"{QUESTION}green")])).logits[0, -1].softmax(-1)
    assert likely[END] == pytest.approx(likely[PAD].item(), rel=1e-4), "as likely as each of its crowd"
    assert likely[END] < 0.2


def test_a_learned_prompt_cannot_and_the_run_says_so(base: Path, store: Store, tmp_path: Path) -> None:
    job = make_run(store, never_ends(base, tmp_path / "base"), "prompt", num_virtual_tokens=4, max_steps=2)
    train_job.run(job)
    assert told(job) == ["end_not_learnable"]


def test_a_base_that_knows_its_end_is_left_as_it_is(base: Path, store: Store) -> None:
    job = make_run(store, base, "lora", max_steps=2)
    train_job.run(job)
    assert told(job) == []
    names = load_file(job.paths.adapter / "adapter_model.safetensors")
    assert not [name for name in names if "trainable_tokens" in name]


def test_a_killed_run_goes_on_with_the_end_token_as_it_was_and_tells_of_it_once(
    base: Path, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = never_ends(base, tmp_path / "base")
    whole, job = make_run(store, folder, "lora"), make_run(store, folder, "lora")
    train_job.run(whole)
    original = reporting.Reporter.on_step_end

    def die(self: Any, args: Any, state: Any, control: Any, **more: Any) -> None:
        if state.global_step == 15:
            raise KeyboardInterrupt
        original(self, args, state, control, **more)

    with monkeypatch.context() as patch:
        patch.setattr(reporting.Reporter, "on_step_end", die)
        with pytest.raises(KeyboardInterrupt):
            train_job.run(job)
    train_job.run(tiny.next_attempt(job))

    weights, expected = (load_file(one.paths.adapter / "adapter_model.safetensors") for one in (job, whole))
    assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert told(job) == ["end_token_learned"]


@pytest.mark.parametrize(
    ("others", "scale", "found"),
    [(TWINS, 1.0, True), (TWINS - 1, 1.0, False), (0, 1e-9, True), (0, 1.0, False)],
    ids=["one of a crowd", "two spellings", "nothing", "its own"],
)
def test_a_token_is_untrained_when_its_row_is_one_of_a_crowd_or_nothing(
    base: Path, others: int, scale: float, found: bool
) -> None:
    model = LlamaForCausalLM.from_pretrained(base)
    with torch.no_grad():
        weight = model.get_output_embeddings().weight
        for other in range(1, others + 1):
            weight[-other] = weight[END] * (1 + other / 10)
        weight[END] *= scale
    assert untrained(model, [END]) == ([END] if found else [])

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaForCausalLM

from tunesmith.evaluation import compare_job
from tunesmith.evaluation.compare_job import run
from tunesmith.evaluation.dev_split import exploring_rows
from tunesmith.evaluation.looks import read_looks
from tunesmith.jobs.context import JobContext, Stopped
from tunesmith.schemas.base import Document
from tunesmith.schemas.comparisons import CompareRequest
from tunesmith.schemas.enums import Half, TuningMethod, Work
from tunesmith.schemas.errors import InvalidArgument
from tunesmith.schemas.evaluations import ModelReference

Submit = Callable[[Work, Document], JobContext]


@pytest.fixture(autouse=True)
def _short_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A random model never stops."""
    monkeypatch.setattr(compare_job, "ANSWER_TOKENS", 6)
    monkeypatch.setattr(compare_job, "MAX_ANSWER_TOKENS", 6)


@pytest.fixture
def model(tiny_folder: Path) -> ModelReference:
    return ModelReference(name="tiny", kind="local", path=str(tiny_folder))


@pytest.fixture(scope="session")
def other_folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("other") / "model"
    shutil.copytree(tiny_folder, folder)
    torch.manual_seed(9)
    LlamaForCausalLM(LlamaForCausalLM.from_pretrained(tiny_folder).config).save_pretrained(folder)
    return folder


@pytest.fixture
def other(other_folder: Path) -> ModelReference:
    return ModelReference(name="other", kind="local", path=str(other_folder))


def request_for(a: ModelReference, b: ModelReference, **changes: Any) -> CompareRequest:
    request = CompareRequest(
        a=a, b=b, golden_set_id=None, prompts=["colour of the pear? "], created_at="2026-11-01T00:00:00Z"
    )
    return request.model_copy(update=changes)


def test_both_models_answer_every_prompt(
    model: ModelReference, other: ModelReference, submit: Submit
) -> None:
    prompts = ["the pear", "the plum", "a fig"]

    found = run(submit(Work.COMPARE, request_for(model, other, prompts=prompts)))
    turned = run(submit(Work.COMPARE, request_for(other, model, prompts=prompts)))

    assert [pair.untrusted_prompt for pair in found.pairs] == prompts
    assert [pair.pair for pair in found.pairs] == [1, 2, 3]
    assert (found.a, found.b) == ("tiny", "other")
    assert [pair.untrusted_a for pair in found.pairs] == [pair.untrusted_b for pair in turned.pairs]
    assert all(not pair.is_same for pair in found.pairs)


def test_the_order_is_mixed_and_each_model_is_first_equally_often(
    model: ModelReference, other: ModelReference, submit: Submit
) -> None:
    orders = []
    for _ in range(2):
        found = run(submit(Work.COMPARE, request_for(model, other, prompts=["x"] * 40)))
        orders.append([pair.a_first for pair in found.pairs])

    assert [sum(order) for order in orders] == [20, 20]
    assert orders[0] != orders[1]
    assert orders[0] != [place % 2 == 0 for place in range(40)]


def test_of_a_golden_set_the_same_rows_are_asked_of_those_that_may_be_shown(
    model: ModelReference, other: ModelReference, submit: Submit, add_golden_set: Any, chat_rows: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(compare_job, "MOST_PAIRS", 4)
    golden = add_golden_set(chat_rows).golden_set_id

    found, again = (
        run(submit(Work.COMPARE, request_for(model, other, golden_set_id=golden, prompts=[])))
        for _ in range(2)
    )

    asked = [(pair.untrusted_prompt, pair.untrusted_reference) for pair in found.pairs]
    assert len(asked) == 4
    assert asked == [(pair.untrusted_prompt, pair.untrusted_reference) for pair in again.pairs]
    exploring = exploring_rows([row.number for row in chat_rows], golden, Half.DEV)
    shown = {(r.messages[0].content, r.messages[1].content) for r in chat_rows if r.number in exploring}
    assert set(asked) < shown


def test_a_run_that_is_compared_on_held_out_rows_has_had_a_look_at_them(
    model: ModelReference,
    submit: Submit,
    add_golden_set: Any,
    add_run: Any,
    golden_rows: Any,
    tiny_folder: Path,
) -> None:
    def save(folder: Path) -> None:
        config = LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"])
        get_peft_model(LlamaForCausalLM.from_pretrained(tiny_folder), config).save_pretrained(folder)

    tuned = ModelReference(name=add_run(save, TuningMethod.LORA), kind="run", path=None)
    golden = add_golden_set(golden_rows).golden_set_id
    job = submit(Work.COMPARE, request_for(tuned, model, golden_set_id=golden, prompts=[]))

    found = run(job)

    looks = read_looks(job.store.handle(golden).looks(Half.DEV))
    assert [(look.model, look.evaluation_id) for look in looks] == [(tuned.name, job.handle)]
    assert any("may have been trained on some of these rows" in note for note in found.notes)
    assert any(note.endswith("were cut.") for note in found.afterwards)
    assert all(pair.is_same for pair in found.pairs), "an adapter that was not trained changes nothing"


def test_a_prompt_without_room_for_an_answer_is_named(
    model: ModelReference, other: ModelReference, submit: Submit
) -> None:
    with pytest.raises(InvalidArgument, match=r"prompts\[1\].*96 tokens"):
        run(submit(Work.COMPARE, request_for(model, other, prompts=["a", "colour " * 300])))


def test_a_requested_stop_ends_the_writing(
    model: ModelReference, other: ModelReference, submit: Submit
) -> None:
    job = submit(Work.COMPARE, request_for(model, other))
    job.terminated.set()

    with pytest.raises(Stopped):
        run(job)

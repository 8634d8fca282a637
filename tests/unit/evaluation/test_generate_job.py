from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from peft import LoraConfig, get_peft_model
from transformers import LlamaForCausalLM

from tunesmith.data.templates import instruction_prompt
from tunesmith.evaluation import generate_job
from tunesmith.evaluation.generate_job import run
from tunesmith.evaluation.generation import Written
from tunesmith.evaluation.wrapping import filled
from tunesmith.jobs.context import JobContext, Stopped
from tunesmith.schemas.base import Document
from tunesmith.schemas.enums import DataFormat, TuningMethod, Work
from tunesmith.schemas.errors import InvalidArgument
from tunesmith.schemas.evaluations import GenerateRequest, ModelReference

Submit = Callable[[Work, Document], JobContext]


@pytest.fixture
def base_model(tiny_folder: Path) -> ModelReference:
    return ModelReference(name="tiny", kind="local", path=str(tiny_folder))


@pytest.fixture
def add_lora(add_run: Any, tiny_folder: Path) -> Callable[..., ModelReference]:
    def add(**plan: Any) -> ModelReference:
        def save(folder: Path) -> None:
            config = LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"])
            get_peft_model(LlamaForCausalLM.from_pretrained(tiny_folder), config).save_pretrained(folder)

        return ModelReference(name=add_run(save, TuningMethod.LORA, **plan), kind="run", path=None)

    return add


def request_for(model: ModelReference, **changes: Any) -> GenerateRequest:
    request = GenerateRequest(
        model=model, prompts=["colour of the pear? "], max_new_tokens=5, temperature=0.0, seed=0
    )
    return request.model_copy(update=changes)


@pytest.fixture
def seen_prompts(monkeypatch: pytest.MonkeyPatch, tokenizer: Any) -> list[str]:
    """What the model was given, as text, in place of an answer."""
    seen: list[str] = []

    def record(model: Any, tokenizer: Any, prompts: Any, *_: Any, **__: Any) -> list[Written]:
        seen.extend(tokenizer.decode(prompt.ids, skip_special_tokens=False) for prompt in prompts)
        return [Written("", 0, "length") for _ in prompts]

    monkeypatch.setattr(generate_job, "generate", record)
    return seen


def test_a_base_model_writes_behind_each_prompt(base_model: ModelReference, submit: Submit) -> None:
    job = submit(Work.GENERATE, request_for(base_model, prompts=["colour", "the pear", ""]))

    found = run(job)

    assert found.generation_id == job.handle
    assert [output.prompt for output in found.outputs] == [0, 1, 2]
    assert all(0 < output.new_tokens <= 5 for output in found.outputs)


@pytest.mark.parametrize(
    ("data_format", "given"),
    [
        (DataFormat.COMPLETION, "pick a fruit"),
        (DataFormat.INSTRUCTION, instruction_prompt("pick a fruit")),
        (DataFormat.CHAT, "<|user|>\npick a fruit\n<|assistant|>\n"),
    ],
)
def test_a_run_is_given_prompts_in_the_form_of_its_training_rows(
    data_format: DataFormat, given: str, add_lora: Any, submit: Submit, seen_prompts: list[str]
) -> None:
    run(submit(Work.GENERATE, request_for(add_lora(format=data_format), prompts=["pick a fruit"])))

    assert seen_prompts == [given]


def test_a_base_model_without_a_chat_template_is_given_the_bare_prompt(
    base_model: ModelReference, submit: Submit, seen_prompts: list[str]
) -> None:
    run(submit(Work.GENERATE, request_for(base_model, prompts=["pick a fruit"])))

    assert seen_prompts == ["pick a fruit"]


def test_a_dataset_template_with_one_placeholder_takes_the_prompt() -> None:
    assert filled("Q: {my question}\nA: ", "why?") == "Q: why?\nA: "
    assert filled("{{json}} {q}", "{why}") == "{json} {why}"
    assert filled("{a} {b}", "why?") == "why?"


def test_output_is_scrubbed_and_shortened(
    base_model: ModelReference, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        generate_job, "generate", lambda *_, **__: [Written("\x1b[31m" + "red\u202e " * 5000, 9, "eos")]
    )

    (output,) = run(submit(Work.GENERATE, request_for(base_model))).outputs

    assert output.untrusted_text.startswith("red red ")
    assert len(output.untrusted_text) == 4000


def test_a_prompt_without_room_for_an_answer_is_named(base_model: ModelReference, submit: Submit) -> None:
    job = submit(Work.GENERATE, request_for(base_model, prompts=["a", "colour " * 300]))

    with pytest.raises(InvalidArgument, match=r"prompts\[1\].*96 tokens"):
        run(job)


def test_a_requested_stop_ends_the_writing(base_model: ModelReference, submit: Submit) -> None:
    job = submit(Work.GENERATE, request_for(base_model))
    job.terminated.set()

    with pytest.raises(Stopped):
        run(job)

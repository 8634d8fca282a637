"""The whole job on a tiny model in a temporary store."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from transformers import LlamaForCausalLM

from tunesmith.data.rows import Row
from tunesmith.evaluation import evaluate_job
from tunesmith.evaluation.evaluate_job import run
from tunesmith.jobs.context import JobContext, Stopped
from tunesmith.jobs.journal import Journal, read_events
from tunesmith.jobs.paths import Store
from tunesmith.schemas.base import Document
from tunesmith.schemas.datasets import GoldenSetCard
from tunesmith.schemas.enums import DataFormat, Half, TuningMethod, Work
from tunesmith.schemas.errors import (
    EmptyMask,
    InvalidArgument,
    NoRows,
    NotReady,
    OutOfMemory,
    UnknownHandle,
    UnsupportedModel,
)
from tunesmith.schemas.evaluations import EvaluateRequest, Evaluation, ModelReference
from tunesmith.schemas.handles import new_handle
from tunesmith.training.rendering import Renderer

Submit = Callable[[Work, Document], JobContext]
LORA = {"task_type": "CAUSAL_LM", "r": 4, "target_modules": ["q_proj", "v_proj"]}


@pytest.fixture(scope="session")
def learned(
    tiny_folder: Path, tokenizer: Any, golden_rows: list[Row], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The tiny model after it has learned the golden rows by heart."""
    model = LlamaForCausalLM.from_pretrained(tiny_folder)
    renderer = Renderer(tokenizer, "prompt_completion", None)
    rendered = [renderer.render(row) for row in golden_rows]
    width = max(len(row.input_ids) for row in rendered)
    ids = torch.tensor([row.input_ids + [0] * (width - len(row.input_ids)) for row in rendered])
    labels = torch.tensor([row.labels + [-100] * (width - len(row.labels)) for row in rendered])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(120):
        loss = model(input_ids=ids, attention_mask=(ids != 0).long(), labels=labels).loss
        if loss.item() < 0.01:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    folder = tmp_path_factory.mktemp("learned")
    model.save_pretrained(folder)
    return folder


def with_adapter(base: Path, config: Any) -> Callable[[Path], None]:
    def save(folder: Path) -> None:
        torch.manual_seed(3)
        get_peft_model(LlamaForCausalLM.from_pretrained(base), config).save_pretrained(folder)

    return save


def copy_of(model: Path) -> Callable[[Path], None]:
    return lambda folder: LlamaForCausalLM.from_pretrained(model).save_pretrained(folder)


def request_for(model: ModelReference, card: GoldenSetCard, **changes: Any) -> EvaluateRequest:
    request = EvaluateRequest(
        model=model, golden_set_id=card.golden_set_id, half=Half.DEV, prompt=None, metrics=[]
    )
    return request.model_copy(update=changes)


@pytest.fixture
def base_model(tiny_folder: Path) -> ModelReference:
    return ModelReference(name="tiny", kind="local", path=str(tiny_folder))


@pytest.fixture
def evaluate(submit: Submit) -> Callable[..., Evaluation]:
    def evaluate(model: ModelReference | str, card: GoldenSetCard, **changes: Any) -> Evaluation:
        if isinstance(model, str):
            model = ModelReference(name=model, kind="run", path=None)
        return run(submit(Work.EVALUATE, request_for(model, card, **changes)))

    return evaluate


def test_a_base_model_has_scores_and_targets_and_nothing_to_compare_with(
    base_model: ModelReference, add_golden_set: Any, golden_rows: list[Row], submit: Submit
) -> None:
    card = add_golden_set(golden_rows)
    job = submit(Work.EVALUATE, request_for(base_model, card))

    found = run(job)

    assert (found.evaluation_id, found.model, found.rows) == (job.handle, "tiny", 12)
    assert list(found.scores) == ["loss", "perplexity", "token_accuracy", "exact_match"]
    assert all(score.low <= score.value <= score.high for score in found.scores.values())
    assert found.baseline is None and found.comparison is None
    assert not found.targets["perplexity"].met and "loss" not in found.targets
    events = read_events(job.paths.journal)
    assert events[-1]["event"] == "progress" and events[-1]["step"] == events[-1]["total_steps"] == 24
    assert "loading the model" in [event.get("phase") for event in events]


def test_scores_of_rows_are_kept_as_figures_without_a_word_of_them(
    add_run: Any, tiny_folder: Path, add_golden_set: Any, golden_rows: list[Row], submit: Submit
) -> None:
    card = add_golden_set(golden_rows)
    run_id = add_run(with_adapter(tiny_folder, LoraConfig(**LORA)), TuningMethod.LORA)
    job = submit(Work.EVALUATE, request_for(ModelReference(name=run_id, kind="run", path=None), card))

    found = run(job)

    text = job.paths.row_scores.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["row"] for line in lines] == list(range(1, 13))
    mean = sum(line["loss"] for line in lines) / sum(line["tokens"] for line in lines)
    assert mean == pytest.approx(found.scores["loss"].value)
    assert lines[0]["base_loss"] == pytest.approx(lines[0]["loss"], abs=1e-4)  # an untrained adapter
    assert not any(word in text for word in ("apple", "colour", "green"))


def test_a_full_fine_tune_that_learned_is_measurably_better_than_its_base(
    learned: Path, add_run: Any, add_golden_set: Any, golden_rows: list[Row], evaluate: Any, base_model: Any
) -> None:
    card = add_golden_set(golden_rows)
    run_id = add_run(copy_of(learned), TuningMethod.FULL, golden_set_id=card.golden_set_id)

    found = evaluate(run_id, card)

    assert found.comparison.verdict == "improved"
    assert found.scores["exact_match"].value == 1.0
    assert found.baseline["exact_match"].value == 0.0
    assert found.baseline == evaluate(base_model, card).scores
    assert found.targets["loss"].met and found.targets["exact_match"].met and found.targets["perplexity"].met
    assert not any("trained on" in note for note in found.notes)


def test_an_adapter_that_learned_nothing_is_told_so(
    add_run: Any, tiny_folder: Path, add_golden_set: Any, golden_rows: list[Row], evaluate: Any
) -> None:
    run_id = add_run(with_adapter(tiny_folder, LoraConfig(**LORA)), TuningMethod.LORA)

    found = evaluate(run_id, add_golden_set(golden_rows))

    assert found.comparison.verdict == "no_measurable_change"
    assert found.comparison.loss_difference.value == pytest.approx(0, abs=1e-6)
    assert not found.targets["loss"].met


@pytest.mark.parametrize(
    ("method", "config"),
    [
        (TuningMethod.LORA, LoraConfig(**LORA, init_lora_weights=False)),
        (TuningMethod.PROMPT_TUNING, PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)),
    ],
)
def test_the_base_beside_an_adapter_is_the_base_itself(
    method: TuningMethod,
    config: Any,
    add_run: Any,
    tiny_folder: Path,
    add_golden_set: Any,
    golden_rows: list[Row],
    evaluate: Any,
    base_model: ModelReference,
) -> None:
    card = add_golden_set(golden_rows)

    tuned = evaluate(add_run(with_adapter(tiny_folder, config), method), card)

    alone = evaluate(base_model, card)
    assert tuned.baseline["loss"].value == pytest.approx(alone.scores["loss"].value, abs=1e-4)
    assert tuned.comparison.loss_difference.high - tuned.comparison.loss_difference.low > 0.01


def test_chat_rows_are_scored_with_a_template_for_a_tokenizer_that_has_none(
    base_model: ModelReference, add_golden_set: Any, chat_rows: list[Row], evaluate: Any
) -> None:
    card = add_golden_set(chat_rows)

    plain = evaluate(base_model, card)
    prompted = evaluate(base_model, card, prompt="Be brief.")

    assert plain.rows == 12
    assert prompted.scores["loss"].value != plain.scores["loss"].value


def test_rows_that_a_run_may_have_seen_are_pointed_out(
    add_run: Any, tiny_folder: Path, add_golden_set: Any, golden_rows: list[Row], evaluate: Any
) -> None:
    card = add_golden_set(golden_rows)
    save = with_adapter(tiny_folder, LoraConfig(**LORA))

    def notes(**plan: Any) -> str:
        return " ".join(evaluate(add_run(save, TuningMethod.LORA, **plan), card, metrics=["loss"]).notes)

    assert "may have been trained on" in notes()
    assert "has seen these rows" in notes(dataset_id=card.dataset_id)
    assert "trained on" not in notes(dataset_id=card.train_dataset_id)
    assert "trained on" not in notes(golden_set_id=card.golden_set_id)
    assert "chat rows" in notes(format=DataFormat.CHAT)


def test_long_references_are_not_written_unless_asked_for(
    base_model: ModelReference, add_golden_set: Any, evaluate: Any
) -> None:
    rows = [Row(number, prompt="colour? ", completion="green" + " green" * 69) for number in range(1, 4)]
    card = add_golden_set(rows)

    assert "exact_match" not in evaluate(base_model, card).scores
    assert list(evaluate(base_model, card, metrics=["exact_match"]).scores) == ["exact_match"]


def test_an_unknown_metric_is_refused_before_anything_is_loaded(
    add_golden_set: Any, golden_rows: list[Row], evaluate: Any
) -> None:
    nowhere = ModelReference(name="x", kind="local", path="/nowhere")

    with pytest.raises(InvalidArgument, match="bleu"):
        evaluate(nowhere, add_golden_set(golden_rows), metrics=["bleu"])


def test_a_golden_set_that_is_not_there_or_is_empty_is_named(
    store: Store, base_model: ModelReference, add_golden_set: Any, golden_rows: list[Row], evaluate: Any
) -> None:
    card = add_golden_set(golden_rows)

    with pytest.raises(UnknownHandle):
        evaluate(base_model, card, golden_set_id=new_handle(Work.BUILD_GOLDEN_SET))
    with pytest.raises(NoRows, match="test half"):
        evaluate(base_model, card, half=Half.TEST)
    Journal(store.handle(card.golden_set_id).journal, attempt=2).append("claimed", host_pid=0)
    with pytest.raises(NotReady, match=card.golden_set_id):
        evaluate(base_model, card)


def test_rows_too_long_for_the_model_leave_nothing_to_score(
    base_model: ModelReference, add_golden_set: Any, evaluate: Any
) -> None:
    card = add_golden_set([Row(1, prompt="colour " * 200, completion="green")])

    with pytest.raises(EmptyMask, match="96 tokens"):
        evaluate(base_model, card)


def test_a_run_without_finished_weights_is_not_ready(
    store: Store, add_run: Any, tiny_folder: Path, add_golden_set: Any, golden_rows: list[Row], evaluate: Any
) -> None:
    card = add_golden_set(golden_rows)
    run_id = add_run(with_adapter(tiny_folder, LoraConfig(**LORA)), TuningMethod.LORA)
    Journal(store.handle(run_id).journal, attempt=2).append("finished", state="failed", error=None)

    with pytest.raises(NotReady, match="failed"):
        evaluate(run_id, card)
    with pytest.raises(UnknownHandle):
        evaluate(new_handle(Work.TRAIN), card)


def test_weights_that_are_no_numbers_are_an_error_and_not_a_score(
    add_run: Any, tiny_folder: Path, add_golden_set: Any, golden_rows: list[Row], evaluate: Any
) -> None:
    def save(folder: Path) -> None:
        model = LlamaForCausalLM.from_pretrained(tiny_folder)
        model.lm_head.weight.data.fill_(float("nan"))
        model.save_pretrained(folder)

    with pytest.raises(UnsupportedModel, match="12 of 12 rows"):
        evaluate(add_run(save, TuningMethod.FULL), add_golden_set(golden_rows))


def test_a_requested_stop_ends_the_work_and_leaves_no_scores(
    base_model: ModelReference, add_golden_set: Any, golden_rows: list[Row], submit: Submit
) -> None:
    job = submit(Work.EVALUATE, request_for(base_model, add_golden_set(golden_rows)))
    job.terminated.set()

    with pytest.raises(Stopped):
        run(job)

    assert not job.paths.row_scores.exists()


def test_exhausted_memory_is_told_with_what_to_do_about_it(
    base_model: ModelReference, add_golden_set: Any, golden_rows: list[Row], evaluate: Any, monkeypatch: Any
) -> None:
    def exhausted(*_: Any, **__: Any) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")

    monkeypatch.setattr(evaluate_job, "measure", exhausted)

    with pytest.raises(OutOfMemory) as refused:
        evaluate(base_model, add_golden_set(golden_rows))
    assert "smaller model" in refused.value.recovery

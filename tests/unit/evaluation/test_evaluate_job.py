"""The whole job on a tiny model in a temporary store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from transformers import LlamaForCausalLM

from tunesmith.data.rows import Row, write_rows
from tunesmith.evaluation import examiner, metric_choice, row_scores
from tunesmith.evaluation.evaluate_job import run
from tunesmith.evaluation.metrics import aggregate
from tunesmith.jobs.context import JobContext, Stopped
from tunesmith.jobs.files import write_document
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
from tunesmith.schemas.evaluations import EvaluateRequest, Evaluation, ModelReference, PromptVariant
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
    request = EvaluateRequest(model=model, golden_set_id=card.golden_set_id, half=Half.DEV, metrics=[])
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
    assert list(found.scores) == [
        "loss",
        "perplexity",
        "bits_per_byte",
        "token_accuracy",
        "exact_match",
        "token_f1",
        "answer_tokens",
        "stopped",
    ]
    assert found.metrics_because is not None and "short texts" in found.metrics_because
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
    assert lines[0]["base"]["loss"] == pytest.approx(lines[0]["loss"], abs=1e-4)  # an untrained adapter
    kept = row_scores.read(job.paths.row_scores)
    assert kept is not None and aggregate(kept, list(found.scores)) == found.scores
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
    prompted = evaluate(base_model, card, variants=[PromptVariant(system="Be brief.")])

    assert plain.rows == 12
    assert prompted.rows == 6 and prompted.comparison.verdict == "no_measurable_change"
    assert prompted.scores["loss"].value != prompted.baseline["loss"].value


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


def test_a_run_that_was_trained_on_the_rows_it_is_scored_on_gets_no_verdict(
    store: Store, add_run: Any, tiny_folder: Path, add_golden_set: Any, golden_rows: list[Row], evaluate: Any
) -> None:
    card = add_golden_set(golden_rows)
    save = with_adapter(tiny_folder, LoraConfig(**LORA))

    def scored(trained_on: list[Row]) -> Evaluation:
        dataset_id = new_handle(Work.LOAD_DATASET)
        rows = store.handle(dataset_id).rows
        rows.parent.mkdir(parents=True)
        write_rows(rows, trained_on, "prompt_completion")
        run_id = add_run(save, TuningMethod.LORA, dataset_id=dataset_id)
        return evaluate(run_id, card, metrics=["loss"])

    others = [Row(at, prompt=f"how far is {at} miles away?", completion="far") for at in range(1, 40)]
    apart = scored(others)
    assert apart.comparison.verdict == "no_measurable_change" and apart.findings == []
    assert "None of these 12 rows was found" in " ".join(apart.notes)

    seen = scored([*others, *golden_rows[:6]])
    assert seen.comparison.verdict == "untrusted"
    assert seen.comparison.message.startswith("No verdict: the run was trained on")
    (finding,) = seen.findings
    assert (finding.code, finding.severity) == ("trained_on_held_out", "fail")
    assert finding.fix.arguments["dataset_id"] == card.train_dataset_id
    assert not seen.targets["loss"].met


def test_answers_that_end_at_once_are_counted_in_words(
    base_model: ModelReference,
    add_run: Any,
    tiny_folder: Path,
    tokenizer: Any,
    add_golden_set: Any,
    golden_rows: list[Row],
    evaluate: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(examiner, "stop_ids", lambda model, tokenizer: range(len(tokenizer)))
    card = add_golden_set(golden_rows)
    told = "12 of 12 answers are empty: the model ended at once."

    assert told in " ".join(evaluate(base_model, card).notes)

    found = evaluate(add_run(with_adapter(tiny_folder, LoraConfig(**LORA)), TuningMethod.LORA), card)
    assert told in " ".join(found.notes)
    assert [finding.code for finding in found.findings] == ["empty_answers"]


def test_answers_that_would_take_long_to_write_are_not_written_unless_asked_for(
    base_model: ModelReference, add_golden_set: Any, evaluate: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [Row(number, prompt="colour? ", completion="green" + " green" * 69) for number in range(1, 4)]
    card = add_golden_set(rows)
    monkeypatch.setattr(metric_choice, "UNASKED_TOKENS", 3 * 70 - 1)

    found = evaluate(base_model, card)

    assert list(found.scores) == ["loss", "perplexity", "bits_per_byte", "token_accuracy"]
    assert "name rouge_l and chrf" in found.metrics_because
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

    monkeypatch.setattr(examiner, "measure", exhausted)

    with pytest.raises(OutOfMemory) as refused:
        evaluate(base_model, add_golden_set(golden_rows))
    assert "smaller model" in refused.value.recovery


LABELLED = [
    Row(
        number,
        prompt=f"is the {'lime' if number % 3 else 'plum'} ripe? ",
        completion="yes" if number % 3 else "no",
    )
    for number in range(1, 13)
]


def test_labels_are_scored_as_labels_with_a_table_of_what_was_taken_for_what(
    base_model: ModelReference, add_golden_set: Any, evaluate: Any
) -> None:
    found = evaluate(base_model, add_golden_set(LABELLED))

    assert {"accuracy", "macro_f1", "stopped"} <= found.scores.keys()
    assert "2 different labels" in found.metrics_because
    assert found.confusion.untrusted_labels == ["yes", "no"]
    assert [sum(counts) for counts in found.confusion.counts] == [8, 4]
    right = sum(found.confusion.counts[at][at] for at in (0, 1))
    assert found.scores["accuracy"].value == right / 12
    assert not found.targets["accuracy"].met


def test_json_answers_are_scored_field_by_field(
    base_model: ModelReference, add_golden_set: Any, evaluate: Any
) -> None:
    rows = [Row(number, prompt="fig? ", completion=json.dumps({"n": number})) for number in range(1, 6)]

    found = evaluate(base_model, add_golden_set(rows))

    assert found.scores["json_valid"].value == 0.0 and found.scores["json_fields"].value == 0.0
    assert "JSON" in found.metrics_because


def test_a_metric_that_does_not_fit_the_answers_is_refused_with_what_fits(
    base_model: ModelReference, add_golden_set: Any, golden_rows: list[Row], evaluate: Any
) -> None:
    with pytest.raises(InvalidArgument, match="json_fields cannot be scored") as refused:
        evaluate(base_model, add_golden_set(golden_rows), metrics=["json_fields"])
    assert 'metrics=["exact_match", "token_f1"]' in refused.value.recovery


def test_a_pattern_is_searched_for_in_every_answer(
    learned: Path, add_run: Any, add_golden_set: Any, golden_rows: list[Row], evaluate: Any
) -> None:
    run_id = add_run(copy_of(learned), TuningMethod.FULL)

    found = evaluate(run_id, add_golden_set(golden_rows), metrics=["regex:gr[aeiou]+n", "regex:^red"])

    assert {name: score.value for name, score in found.scores.items()} == {
        "regex:gr[aeiou]+n": 1.0,
        "regex:^red": 0.0,
    }


def test_a_run_has_its_paired_difference_in_every_metric_with_its_probability(
    learned: Path, add_run: Any, add_golden_set: Any, golden_rows: list[Row], evaluate: Any
) -> None:
    found = evaluate(add_run(copy_of(learned), TuningMethod.FULL), add_golden_set(golden_rows))

    differences = found.comparison.differences
    assert differences.keys() == found.scores.keys() - {"perplexity"}
    assert differences["exact_match"].value == 1.0 and differences["exact_match"].p == 2 / 2**12
    assert differences["bits_per_byte"].high < 0 and differences["stopped"].low >= 0
    assert found.comparison.look == 1 and found.comparison.p_corrected == 2 * 2 / 2**12


def test_the_worst_rows_are_shown_as_untrusted_text_and_the_test_half_shows_none(
    base_model: ModelReference, store: Store, add_golden_set: Any, golden_rows: list[Row], evaluate: Any
) -> None:
    hostile = Row(99, prompt="colour?\x1b[31m ", completion="the \u202ekiwi " * 20)
    card = add_golden_set([*golden_rows, hostile])
    write_rows(store.handle(card.golden_set_id).half(Half.TEST), golden_rows, "prompt_completion")

    worst = evaluate(base_model, card).worst

    assert len(worst) == 5 and {example.metric for example in worst} == {"token_f1"}
    assert [example.score for example in worst] == sorted(example.score for example in worst)
    shown = " ".join(
        example.model_dump_json() for example in evaluate(base_model, card, metrics=["loss"]).worst
    )
    assert "colour of the" in shown
    assert "\\u202e" not in shown and "\\u001b" not in shown
    assert evaluate(base_model, card, half=Half.TEST).worst == []


def test_each_candidate_on_the_dev_half_makes_the_next_one_harder_to_call_better(
    learned: Path,
    add_run: Any,
    tiny_folder: Path,
    add_golden_set: Any,
    golden_rows: list[Row],
    evaluate: Any,
    base_model: ModelReference,
) -> None:
    card = add_golden_set(golden_rows)
    nothing = with_adapter(tiny_folder, LoraConfig(**LORA))
    evaluate(base_model, card, metrics=["loss"])  # a plain base model claims nothing: no look
    for _ in range(10):
        run_id = add_run(nothing, TuningMethod.LORA)
        evaluate(run_id, card, metrics=["loss"])
    assert evaluate(run_id, card, metrics=["loss"]).comparison.look == 10  # again: no new look

    found = evaluate(add_run(copy_of(learned), TuningMethod.FULL), card, metrics=["loss"])

    # Of 12 rows that all agree no p-value is below 2 / 4096, which is not enough among eleven candidates.
    assert found.comparison.look == 11 and found.comparison.p_corrected == 2 / 2**12 * 11 * 12
    assert found.comparison.verdict == "no_measurable_change" and "11th candidate" in found.comparison.message
    assert any("candidate 11" in note for note in found.notes)


def test_the_test_half_is_opened_once_for_each_candidate(
    add_run: Any, store: Store, tiny_folder: Path, add_golden_set: Any, golden_rows: list[Row], submit: Submit
) -> None:
    card = add_golden_set(golden_rows)
    write_rows(store.handle(card.golden_set_id).half(Half.TEST), golden_rows, "prompt_completion")
    run_id = add_run(with_adapter(tiny_folder, LoraConfig(**LORA)), TuningMethod.LORA)
    model = ModelReference(name=run_id, kind="run", path=None)

    def opened(metrics: list[str], *variants: PromptVariant) -> tuple[JobContext, Evaluation]:
        request = request_for(model, card, half=Half.TEST, metrics=metrics, variants=[*variants])
        job = submit(Work.EVALUATE, request)
        found = run(job)
        write_document(job.paths.result, found)
        return job, found

    first_job, first = opened(["loss"])
    again_job, again = opened(["exact_match"])
    _, other = opened(["loss"], PromptVariant(system="Be brief."))

    assert again.evaluation_id == again_job.handle and again.scores == first.scores
    assert first_job.handle in again.notes[0] and "exact_match was not scored" in again.notes[0]
    assert again_job.paths.row_scores.read_bytes() == first_job.paths.row_scores.read_bytes()
    assert other.comparison.look == 2 and other.scores != first.scores
    shutil.rmtree(first_job.paths.folder)
    shutil.rmtree(again_job.paths.folder)
    assert opened(["loss"])[1].comparison.look == 1  # its result is gone: scored again, but no new look

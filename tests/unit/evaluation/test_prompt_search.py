"""Searching the best of several prompts for a model, and what is told of the one that was found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from tests.unit.evaluation.conftest import WORDS
from tunesmith.data.rows import Row, write_rows
from tunesmith.evaluation import row_scores
from tunesmith.evaluation.dev_split import deciding_rows, exploring_rows
from tunesmith.evaluation.evaluate_job import run
from tunesmith.evaluation.looks import read_looks
from tunesmith.evaluation.prompt_search import goal_of
from tunesmith.jobs.files import write_document
from tunesmith.jobs.paths import Store
from tunesmith.schemas.datasets import GoldenSetCard
from tunesmith.schemas.enums import Half, TuningMethod, Work
from tunesmith.schemas.errors import InvalidArgument, NoRows
from tunesmith.schemas.evaluations import EvaluateRequest, Evaluation, ModelReference, PromptVariant

MAGIC = "the fig is green."
ROWS = [
    Row(number=2 * at + more, prompt=f"colour of the {word}{mark} ", completion=f"the {word} is green.")
    for at, word in enumerate(WORDS)
    for more, mark in enumerate("?.")
]
HELPS, HINDERS = PromptVariant(system=MAGIC), PromptVariant(system="olive berry lime kiwi date")
BARE = PromptVariant()

Evaluate = Callable[..., Evaluation]


@pytest.fixture(scope="module")
def obedient(tiny_folder: Path, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> ModelReference:
    """A model that has learned the rows behind one prompt only."""
    torch.manual_seed(0)
    model = LlamaForCausalLM.from_pretrained(tiny_folder).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    prompts = [tokenizer.encode(f"{MAGIC}\n\n{row.prompt}") for row in ROWS]
    answers = [[*tokenizer.encode(row.completion), tokenizer.eos_token_id] for row in ROWS]
    width = max(len(prompt) + len(answer) for prompt, answer in zip(prompts, answers, strict=True))
    ids, labels = torch.zeros(len(ROWS), width, dtype=torch.long), torch.full((len(ROWS), width), -100)
    for at, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
        ids[at, : len(prompt) + len(answer)] = torch.tensor(prompt + answer)
        labels[at, len(prompt) : len(prompt) + len(answer)] = torch.tensor(answer)
    for _ in range(60):
        optimizer.zero_grad()
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()
    folder = tmp_path_factory.mktemp("obedient")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return ModelReference(name="obedient", kind="local", path=str(folder))


@pytest.fixture
def card(store: Store, add_golden_set: Any) -> GoldenSetCard:
    card: GoldenSetCard = add_golden_set(ROWS)
    training = store.handle(card.train_dataset_id).rows
    training.mkdir(parents=True)
    write_rows(training / "part-00000.parquet", ROWS[:6], "prompt_completion")
    write_rows(store.handle(card.golden_set_id).half(Half.TEST), ROWS, "prompt_completion")
    return card


@pytest.fixture
def evaluate(submit: Any, obedient: ModelReference, card: GoldenSetCard) -> Evaluate:
    def evaluate(*variants: PromptVariant, model: ModelReference = obedient, **changes: Any) -> Evaluation:
        request = EvaluateRequest(
            model=model, golden_set_id=card.golden_set_id, half=Half.DEV, variants=[*variants], metrics=[]
        ).model_copy(update=changes)
        job = submit(Work.EVALUATE, request)
        found = run(job)
        write_document(job.paths.result, found)
        return found

    return evaluate


def test_the_prompt_that_helps_is_found_and_judged_on_rows_that_no_search_saw(
    evaluate: Evaluate, store: Store, card: GoldenSetCard
) -> None:
    numbers = [row.number for row in ROWS]
    deciding = deciding_rows(numbers, card.golden_set_id, Half.DEV)

    found = evaluate(HINDERS, BARE, HELPS, PromptVariant(few_shot=1))

    assert found.variant == HELPS and found.kind == "hard_prompt"
    assert found.search is not None and found.search.variants[0].variant == 2
    assert found.search.rungs[-1].rows == len(exploring_rows(numbers, card.golden_set_id, Half.DEV))
    assert {one.variant for one in found.search.variants} == {0, 1, 2, 3}
    assert found.comparison is not None and found.comparison.verdict == "improved"
    assert found.comparison.look == 1 and "the model behind this prompt" in found.comparison.message.lower()
    assert found.rows == len(deciding) == 12
    scored = row_scores.read(store.handle(found.evaluation_id).row_scores)
    assert scored is not None and {row.row for row in scored} == set(numbers)
    losses = [row for row in scored if row.row in deciding]
    mean = sum(row.loss for row in losses) / sum(row.tokens for row in losses)
    assert found.scores["loss"].value == pytest.approx(mean), "rows of the search have no part in it"
    assert all(example.row not in deciding for example in found.worst)
    assert found.cost is not None and found.baseline_cost is not None
    assert found.cost.prompt_tokens > found.baseline_cost.prompt_tokens
    assert found.cost.making_tokens == found.search.tokens > 0
    assert len(read_looks(store.handle(card.golden_set_id).looks(Half.DEV))) == 1


def test_the_named_metric_chooses_and_judges(evaluate: Evaluate) -> None:
    found = evaluate(HINDERS, HELPS, metrics=["exact_match", "loss"])

    assert found.search is not None and found.search.metric == "exact_match"
    assert found.comparison is not None and found.comparison.by == "exact_match"
    assert "exact_match went from" in found.comparison.message
    assert found.variant == HELPS and "loss" not in found.targets


def test_when_nothing_helps_the_bare_prompt_is_left_and_nothing_is_claimed(
    evaluate: Evaluate, store: Store, card: GoldenSetCard
) -> None:
    found = evaluate(BARE, BARE)

    assert found.variant is None and found.comparison is None and found.kind == "base"
    assert any("No variant came out ahead" in note for note in found.notes)
    assert read_looks(store.handle(card.golden_set_id).looks(Half.DEV)) == []


def test_what_was_scored_before_stands_on_one_leaderboard_with_its_cost(
    evaluate: Evaluate, add_run: Any, obedient: ModelReference
) -> None:
    def copied(folder: Path) -> None:
        LlamaForCausalLM.from_pretrained(str(obedient.path)).save_pretrained(folder)

    run_id = add_run(copied, TuningMethod.FULL)
    assert evaluate(HINDERS).leaderboard is not None, "the bare base is beside it"
    evaluate(HELPS)

    board = evaluate(model=ModelReference(name=run_id, kind="run", path=None)).leaderboard

    assert board is not None and board.rows == 12
    kinds = [entry.kind for entry in board.entries]
    assert sorted(kinds) == ["base", "base", "hard_prompt", "hard_prompt", "tuned"], "two base models, bare"
    assert board.entries[0].variant == HELPS
    again = evaluate(HELPS).leaderboard
    assert again is not None and len(again.entries) == 5, "scored again, it is the same candidate"


def test_the_winner_is_confirmed_once_on_the_whole_test_half(evaluate: Evaluate) -> None:
    found = evaluate(HELPS, half=Half.TEST)
    again = evaluate(HELPS, half=Half.TEST)

    assert found.rows == len(ROWS) and found.comparison is not None
    assert found.comparison.verdict == "improved"
    assert again.scores == found.scores and "was opened for this candidate" in again.notes[0]


def test_variants_that_leave_no_room_for_the_rows_are_refused(evaluate: Evaluate) -> None:
    long = PromptVariant(system="colour " * 300)

    with pytest.raises(InvalidArgument, match="None of the 2 variants leaves room"):
        evaluate(long, long)
    assert evaluate(long, HELPS).variant == HELPS


def test_a_dev_half_of_one_row_is_too_small_to_search_on(evaluate: Evaluate, add_golden_set: Any) -> None:
    with pytest.raises(NoRows, match="too small to search prompts"):
        evaluate(HELPS, BARE, golden_set_id=add_golden_set(ROWS[:1]).golden_set_id)


def test_the_goal_is_the_first_metric_that_says_what_is_better() -> None:
    assert goal_of([]) == "loss"
    assert goal_of(["answer_tokens", "perplexity"]) == "loss"
    assert goal_of(["macro_f1", "loss"]) == "accuracy"
    assert goal_of(["regex:^x"]) == "regex:^x"

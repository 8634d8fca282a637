"""What a tuning did beside what it was for, measured by the evaluation of its run."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaForCausalLM

from tunesmith.data.rows import Row, write_rows
from tunesmith.evaluation.evaluate_job import run
from tunesmith.evaluation.metrics import RowScore
from tunesmith.evaluation.side_effects import findings, retention_of
from tunesmith.evaluation.subject import Subject
from tunesmith.schemas.enums import Half, TuningMethod, Work
from tunesmith.schemas.evaluations import EvaluateRequest, Evaluation, ModelReference
from tunesmith.schemas.runs import Finding

GENERAL = [
    Row(number=at, prompt="", completion=f"the {word} goes home at {10 + at} o'clock.")
    for at, word in enumerate("abcdefghijklmn")
]


@pytest.fixture(scope="session")
def tiny_folder(tiny_folder: Path, tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base that knows the general text."""
    folder = tmp_path_factory.mktemp("knows") / "model"
    shutil.copytree(tiny_folder, folder)
    model = LlamaForCausalLM.from_pretrained(tiny_folder)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    ids = torch.tensor([tokenizer.encode(row.completion) for row in GENERAL])
    for _ in range(30):
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def evaluate(submit: Any, add_run: Any, tiny_folder: Path) -> Callable[..., Evaluation]:
    """Evaluates a run whose adapter does harm in the measure of `harm`."""

    def evaluate(card: Any, harm: float) -> Evaluation:
        def save(folder: Path) -> None:
            torch.manual_seed(1)
            config = LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "v_proj", "down_proj"])
            model = get_peft_model(LlamaForCausalLM.from_pretrained(tiny_folder), config)
            for name, weight in model.named_parameters():
                if "lora_B" in name:
                    torch.nn.init.normal_(weight, std=harm) if harm else None
            model.save_pretrained(folder)

        model = ModelReference(name=add_run(save, TuningMethod.LORA), kind="run", path=None)
        request = EvaluateRequest(
            model=model, golden_set_id=card.golden_set_id, half=Half.DEV, metrics=["loss"]
        )
        return run(submit(Work.EVALUATE, request))

    return evaluate


@pytest.fixture
def with_general_text(store: Any, add_golden_set: Any, golden_rows: list[Row]) -> Any:
    card = add_golden_set(golden_rows, retention_rows=len(GENERAL))
    write_rows(store.handle(card.golden_set_id).retention, GENERAL, "prompt_completion")
    return card


def test_a_run_that_lost_general_text_is_told_to_change_less(
    evaluate: Callable[..., Evaluation], with_general_text: Any
) -> None:
    found = evaluate(with_general_text, harm=2.0)
    assert found.retention is not None
    assert found.retention.rows == len(GENERAL)
    assert found.retention.tuned > 1.2 * found.retention.base
    assert found.retention.difference.low > 0
    (finding,) = found.findings
    assert (finding.code, finding.severity) == ("forgetting", "fail")
    assert finding.fix is not None and finding.fix.tool == "configure_lora"


def test_a_run_that_lost_nothing_has_the_figures_and_no_finding(
    evaluate: Callable[..., Evaluation], with_general_text: Any
) -> None:
    found = evaluate(with_general_text, harm=0.0)
    assert found.retention is not None
    assert found.retention.tuned == pytest.approx(found.retention.base, rel=1e-4)
    assert found.findings == []


def test_without_general_text_nothing_is_said_of_it(
    evaluate: Callable[..., Evaluation], add_golden_set: Any, golden_rows: list[Row]
) -> None:
    found = evaluate(add_golden_set(golden_rows), harm=2.0)
    assert found.retention is None


def told(
    store: Any, card: Any, stored: list[Row], base: list[RowScore], tuned: list[RowScore]
) -> list[Finding]:
    return findings(
        store, Subject("run-aaaaaaaaaaaaaaaa", None, None), card, stored, base, tuned, retention_of([], [])
    )


def test_a_slice_that_got_worse_while_the_whole_got_better_is_named(store: Any, add_golden_set: Any) -> None:
    stored = [
        Row(number=at, prompt=f"{at}", completion="x", extras={"topic": "sport" if at % 3 else "law"})
        for at in range(60)
    ]
    card = add_golden_set(stored, stratify_by="topic")
    base = [RowScore(row.number, 20.0 + row.number % 7, 10, 5, size=40) for row in stored]
    tuned = [
        RowScore(row.number, one.loss * (0.5 if row.extras["topic"] == "sport" else 1.3), 10, 5, size=40)
        for row, one in zip(stored, base, strict=True)
    ]
    (finding,) = told(store, card, stored, base, tuned)
    assert finding.code == "poor_slice"
    assert "topic='law'" in finding.message and "20 rows" in finding.message
    assert told(store, card, stored, base, base) == []


def test_answers_that_run_into_the_limit_are_told(
    store: Any, add_golden_set: Any, golden_rows: list[Row]
) -> None:
    card = add_golden_set(golden_rows)

    def scores(ended: int) -> list[RowScore]:
        return [RowScore(at, 1.0, 10, 5, size=40, answer={"stopped": float(at < ended)}) for at in range(12)]

    assert [finding.code for finding in told(store, card, golden_rows, scores(2), scores(2))] == [
        "never_stops"
    ]
    assert told(store, card, golden_rows, scores(12), scores(12)) == []

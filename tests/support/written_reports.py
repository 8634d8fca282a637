"""Everything that a report of a run shows, as files: data, golden set, scores, generations."""

from __future__ import annotations

import json
from typing import Any

from tests.support.written_runs import finished
from tunesmith.jobs.paths import Store
from tunesmith.schemas.base import Document
from tunesmith.schemas.datasets import DatasetCard, GoldenSetCard, QualityCheck
from tunesmith.schemas.enums import DataFormat, Fix, Half, Verdict
from tunesmith.schemas.evaluations import (
    Comparison,
    Evaluation,
    GenerateRequest,
    Generation,
    ModelReference,
    Output,
    Score,
    Target,
)

SOURCE = "ds-bbbbbbbbbbbbbbbb"
TRAIN = "ds-aaaaaaaaaaaaaaaa"
GOLDEN = "gold-aaaaaaaaaaaaaaaa"
CREATED = "2030-01-01T00:00:00Z"


def keep(
    store: Store, handle: str, result: Document | dict[str, Any], request: Document | None = None
) -> None:
    """Finished work with this result."""
    paths = store.handle(handle)
    paths.folder.mkdir(parents=True)
    paths.request.write_text("{}" if request is None else request.model_dump_json())
    paths.journal.write_text(json.dumps(finished()) + "\n")
    paths.result.write_text(json.dumps(result) if isinstance(result, dict) else result.model_dump_json())


def write_data(
    store: Store, source: str = "./orders.csv", advice: str = "drop them with clean_dataset"
) -> None:
    """The dataset of the written plan, cut from another one, and its golden set."""
    quality = {
        "near_duplicates": QualityCheck(
            verdict=Verdict.WARN, count=12, share=0.012, advice=advice, fixes=[Fix.DROP_NEAR_DUPLICATES]
        ),
        "harmful": QualityCheck(verdict=Verdict.FAIL, count=3, share=0.003),
        "empty": QualityCheck(verdict=Verdict.PASS),
    }
    card = DatasetCard(
        dataset_id=SOURCE,
        source=source,
        source_kind="local",
        format=DataFormat.INSTRUCTION,
        row_kind="prompt_completion",
        columns={"instruction": "instruction"},
        rows=1000,
        rows_read=1040,
        dropped={"exact_duplicate": 31, "empty": 9},
        checklist={
            "no_duplicates": Verdict.WARN,
            "no_harmful_content": Verdict.FAIL,
            "diverse": Verdict.PASS,
        },
        quality=quality,
        fingerprint="f" * 64,
        created_at=CREATED,
    )
    keep(store, SOURCE, card)
    cut = {
        "dataset_id": TRAIN,
        "parent_dataset_id": SOURCE,
        "rows": 800,
        "dropped": {"held_out": 199, "leak": 1},
    }
    keep(store, TRAIN, card.model_copy(update=cut))
    golden = GoldenSetCard(
        golden_set_id=GOLDEN,
        dataset_id=SOURCE,
        train_dataset_id=TRAIN,
        row_kind="prompt_completion",
        dev_rows=100,
        test_rows=99,
        train_rows=800,
        leaks_removed=1,
        stratify_by=None,
        strata={},
        seed=0,
        dev_fingerprint="d",
        test_fingerprint="t",
        created_at=CREATED,
    )
    keep(store, GOLDEN, golden)


def write_evaluation(
    store: Store, run: str, number: str = "a", half: Half = Half.TEST, verdict: str = "improved", **more: Any
) -> str:
    """An evaluation of the run; `more` are fields of its document."""
    handle = f"eval-{number * 16}"
    difference = Score(value=-1.5, low=-1.6, high=-1.4)
    evaluation = Evaluation(
        evaluation_id=handle,
        model=run,
        golden_set_id=GOLDEN,
        half=half,
        rows=99,
        scores={
            "loss": Score(value=1.2345, low=1.1, high=1.3),
            "exact_match": Score(value=0.75, low=0.66, high=0.82),
        },
        baseline={
            "loss": Score(value=2.7345, low=2.6, high=2.9),
            "exact_match": Score(value=0.25, low=0.18, high=0.34),
        },
        comparison=Comparison(
            verdict=verdict, loss_difference=difference, message="It is measurably different."
        ),
        targets={
            "exact_match": Target(goal="> 90 %", met=False),
            "preferred": Target(goal="> 80 %", met=True),
        },
        notes=["A note about the rows."],
        created_at=f"2030-01-0{1 + 'abcdefgh'.index(number)}T00:00:00Z",
    )
    keep(store, handle, {**evaluation.model_dump(mode="json"), **more})
    return handle


def write_generation(
    store: Store, model: ModelReference, texts: list[str], number: str = "a", prompt: str = "Say hello."
) -> str:
    """What a model wrote for prompts that are all the same."""
    handle = f"gen-{number * 16}"
    request = GenerateRequest(
        model=model, prompts=[prompt] * len(texts), max_new_tokens=32, temperature=0.0, seed=0
    )
    outputs = [
        Output(prompt=index, untrusted_text=text, new_tokens=3, stopped="eos")
        for index, text in enumerate(texts)
    ]
    keep(store, handle, Generation(generation_id=handle, outputs=outputs), request)
    return handle

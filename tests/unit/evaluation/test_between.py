from __future__ import annotations

from typing import Any

import pytest

from tunesmith.evaluation import row_scores
from tunesmith.evaluation.between import best_so_far, compare_evaluations, paired_differences, standing
from tunesmith.evaluation.looks import record_look
from tunesmith.evaluation.metrics import RowScore
from tunesmith.jobs.paths import HandlePaths, Store
from tunesmith.jobs.submission import create_finished
from tunesmith.schemas.enums import Half, Work
from tunesmith.schemas.errors import InvalidArgument, NotReady
from tunesmith.schemas.evaluations import EvaluateRequest, Evaluation, ModelReference, Score
from tunesmith.schemas.handles import new_handle

SOME = Score(value=1.0, low=0.0, high=2.0)


def rows(loss: float, tokens: int = 10, exact: float = 0.0, first: int = 1) -> list[RowScore]:
    return [
        RowScore(at, loss + 0.01 * at, tokens, 5, size=40, answer={"exact_match": exact})
        for at in range(first, first + 20)
    ]


def add_evaluation(store: Store, scores: list[RowScore], golden_set_id: str, half: Half = Half.DEV) -> str:
    handle = new_handle(Work.EVALUATE)
    model = ModelReference(name="demo", kind="demo", path=None)
    request = EvaluateRequest(model=model, golden_set_id=golden_set_id, half=half, prompt="x", metrics=[])
    result = Evaluation(
        evaluation_id=handle,
        model="demo",
        golden_set_id=golden_set_id,
        half=half,
        rows=len(scores),
        scores=dict.fromkeys(("loss", "perplexity", "bits_per_byte", "exact_match"), SOME),
        targets={},
        created_at="2026-11-01T00:00:00Z",
    )

    def fill(paths: HandlePaths) -> None:
        paths.row_scores.write_bytes(row_scores.to_bytes(scores, None))

    create_finished(store, handle, request, result, fill)
    return handle


def test_two_evaluations_of_a_half_are_compared_row_by_row(store: Store) -> None:
    gold = new_handle(Work.BUILD_GOLDEN_SET)
    first = add_evaluation(store, rows(8.0), gold)
    second = add_evaluation(store, list(reversed(rows(6.0, exact=1.0, first=3))), gold)

    found = compare_evaluations(store, first, second)

    assert (found.first, found.second, found.rows, found.same_vocabulary) == (first, second, 18, True)
    assert found.differences.keys() == {"loss", "bits_per_byte", "exact_match"}
    assert found.differences["loss"].value == pytest.approx(-0.2) and found.differences["loss"].p < 1e-4
    assert found.differences["exact_match"].value == 1.0


def test_models_of_different_vocabularies_are_compared_in_bits_per_byte() -> None:
    found = paired_differences("eval-1", rows(8.0), "eval-2", rows(6.0, tokens=7), ["loss", "token_accuracy"])

    assert not found.same_vocabulary
    assert list(found.differences) == ["bits_per_byte"] and found.differences["bits_per_byte"].high < 0


def test_evaluations_without_a_row_in_common_or_without_rows_are_refused(store: Store) -> None:
    gold = new_handle(Work.BUILD_GOLDEN_SET)
    dev, test = add_evaluation(store, rows(8.0), gold), add_evaluation(store, rows(8.0), gold, Half.TEST)

    with pytest.raises(InvalidArgument, match="no rows in common"):
        compare_evaluations(store, dev, test)
    store.handle(test).row_scores.unlink()
    with pytest.raises(NotReady, match=test):
        compare_evaluations(store, dev, test)


def test_a_candidate_stands_beside_the_best_one_before_it(
    store: Store, add_golden_set: Any, golden_rows: Any
) -> None:
    gold = add_golden_set(golden_rows).golden_set_id
    looks = store.handle(gold).looks(Half.DEV)
    handles = [add_evaluation(store, rows(loss), gold) for loss in (8.0, 6.0, 7.0)]
    for number, handle in enumerate(handles):
        record_look(looks, f"candidate-{number}", handle, "demo")

    best = best_so_far(store, gold, Half.DEV, "another")
    assert best is not None and best[0].evaluation_id == handles[1] and best[1] == 3

    told = standing(store, *best, rows(9.0), look=4)
    assert told is not None and "best of 3" in told and told.endswith("worse.")
    told = standing(store, *best, rows(6.0), look=4)
    assert told is not None and told.endswith("no more than chance.")
    assert best_so_far(store, gold, Half.TEST, "another") is None

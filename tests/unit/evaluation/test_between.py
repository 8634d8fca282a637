from __future__ import annotations

from typing import Any

from tunesmith.evaluation import row_scores
from tunesmith.evaluation.between import best_so_far, standing
from tunesmith.evaluation.looks import record_look
from tunesmith.evaluation.metrics import RowScore
from tunesmith.jobs.paths import HandlePaths, Store
from tunesmith.jobs.submission import create_finished
from tunesmith.schemas.enums import Half, Work
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
    request = EvaluateRequest(model=model, golden_set_id=golden_set_id, half=half, metrics=[])
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
    told = standing(store, *best, rows(2.0, tokens=7), look=4)
    assert told is not None and told.endswith("better."), "tokens of another size change nothing"
    assert standing(store, *best, rows(2.0, first=100), look=4) is None, "no row in common"
    assert best_so_far(store, gold, Half.TEST, "another") is None

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from tunesmith.evaluation.leaderboard import Contender, ranked
from tunesmith.evaluation.metrics import RowScore
from tunesmith.schemas.evaluations import CandidateKind, Cost, Leaderboard

ROWS = range(1, 51)


def scores(
    loss: float, exact: float | None = None, rows: range = ROWS, size: int = 40
) -> dict[int, RowScore]:
    generator = np.random.default_rng(3)
    answer: dict[int, Mapping[str, float]] = {
        row: {} if exact is None else {"exact_match": float(generator.random() < exact)} for row in rows
    }
    return {
        row: RowScore(row, loss * 10 + 0.1 * (row % 5), 10, 5, size=size, answer=answer[row]) for row in rows
    }


def contender(
    name: str,
    rows: dict[int, RowScore],
    kind: CandidateKind = "tuned",
    prompt_tokens: float = 10,
    making_tokens: int = 0,
    base_model: str = "demo",
) -> Contender:
    cost = Cost(prompt_tokens=prompt_tokens, answer_tokens=None, making_tokens=making_tokens)
    return Contender(f"eval-{name}", name, base_model, kind, None, cost, rows)


def board_of(*contenders: Contender) -> Leaderboard:
    board = ranked(contenders, frozenset(ROWS))
    assert board is not None
    return board


def test_the_best_comes_first_with_its_difference_from_the_bare_base() -> None:
    board = board_of(
        contender("demo", scores(3.0, 0.0), "base"),
        contender("run-soft", scores(2.0, 0.3), "soft_prompt", 30),
        contender("run-lora", scores(1.0, 0.9), "tuned"),
    )

    assert [entry.model for entry in board.entries] == ["run-lora", "run-soft", "demo"]
    assert (board.metric, board.rows) == ("exact_match", 50)
    lora, soft, base = board.entries
    assert base.difference is None and lora.difference is not None and soft.difference is not None
    assert lora.difference.value == pytest.approx(lora.score.value) and lora.difference.low > 0
    assert "more than chance" in board.message and "no more than chance" not in board.message


def test_without_answers_of_all_the_bits_per_byte_rank() -> None:
    board = board_of(contender("a", scores(2.0, 0.9)), contender("b", scores(1.0)))

    assert board.metric == "bits_per_byte"
    assert [entry.model for entry in board.entries] == ["b", "a"]


def test_a_cheaper_one_that_is_not_measurably_behind_is_named() -> None:
    same = scores(1.0, 0.8)
    worse = dict(same) | {1: RowScore(1, 11.0, 10, 5, size=40, answer={"exact_match": 0.0})}

    board = board_of(
        contender("run-long", same, prompt_tokens=400, making_tokens=5),
        contender("run-short", worse, prompt_tokens=12, making_tokens=90_000),
    )

    assert "no more than chance" in board.message
    assert "Not measurably behind it and cheaper: run-short" in board.message
    assert "12 instead of 400 tokens a prompt" in board.message


def test_only_rows_that_decide_and_that_all_were_given_count() -> None:
    few = contender("few", scores(0.1, rows=range(1, 11)))
    most = contender("most", scores(2.0, rows=range(1, 46)))
    other = contender("other", scores(3.0, rows=range(1, 200)))

    board = board_of(few, most, other)

    assert [entry.model for entry in board.entries] == ["most", "other"] and board.rows == 45
    assert "1 candidates are left out" in board.message


def test_models_that_cut_texts_differently_are_told_apart_by_bits_per_byte() -> None:
    coarse = {row: RowScore(row, 20.0, 4, 2, size=40) for row in ROWS}
    fine = {row: RowScore(row, 18.0, 12, 6, size=40) for row in ROWS}

    board = board_of(
        contender("coarse", coarse, base_model="one"), contender("fine", fine, base_model="other")
    )

    assert board.entries[0].model == "fine"
    assert "compare bits per byte, not loss or perplexity" in board.message


def test_one_candidate_is_no_leaderboard() -> None:
    assert ranked([contender("a", scores(1.0))], frozenset(ROWS)) is None
    assert ranked([contender("a", scores(1.0)), contender("b", {})], frozenset(ROWS)) is None


def test_among_many_equals_the_lucky_first_is_no_more_than_chance() -> None:
    generator = np.random.default_rng(8)
    equals = [
        contender(
            f"run-{at}",
            {row: RowScore(row, float(loss), 10, 5, size=40) for row, loss in zip(ROWS, losses, strict=True)},
        )
        for at, losses in enumerate(generator.normal(20, 2, (40, 50)))
    ]

    board = board_of(*equals)

    assert "no more than chance" in board.message
    assert len(board.entries) == 20

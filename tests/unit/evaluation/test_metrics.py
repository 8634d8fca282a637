import math

import pytest

from tunesmith.evaluation.metrics import RowScore, aggregate, targets
from tunesmith.schemas.evaluations import Score


def row(number: int, loss: float, tokens: int, correct: int, **answer: float) -> RowScore:
    return RowScore(number, loss, tokens, correct, size=4 * tokens, answer=answer)


ROWS = [row(1, 2.0, 2, 2, exact_match=1.0), row(2, 10.0, 8, 4, exact_match=0.0)]


def test_losses_are_means_over_tokens_and_not_over_rows() -> None:
    scores = aggregate(ROWS, ["loss", "perplexity", "token_accuracy", "exact_match"])

    assert scores["loss"].value == pytest.approx(1.2)
    assert scores["perplexity"].value == pytest.approx(math.exp(1.2))
    assert scores["perplexity"].high == pytest.approx(math.exp(scores["loss"].high))
    assert scores["token_accuracy"].value == pytest.approx(0.6)
    assert scores["exact_match"].value == 0.5


def test_bits_per_byte_does_not_depend_on_how_a_text_is_cut_into_tokens() -> None:
    coarse = [RowScore(1, 6.0, 2, 0, size=12), RowScore(2, 3.0, 1, 0, size=6)]
    fine = [RowScore(1, 6.0, 12, 0, size=12), RowScore(2, 3.0, 6, 0, size=6)]

    found = [aggregate(rows, ["bits_per_byte"])["bits_per_byte"] for rows in (coarse, fine)]

    assert found[0] == found[1]
    assert found[0].value == pytest.approx(0.5 / math.log(2))


def test_only_what_was_asked_for_is_told() -> None:
    assert list(aggregate(ROWS, ["perplexity"])) == ["perplexity"]


def test_rows_without_a_written_answer_do_not_count_as_wrong() -> None:
    rows = [*ROWS, row(3, 1.0, 1, 1)]

    assert aggregate(rows, ["exact_match"])["exact_match"].value == 0.5


def test_lengths_stops_and_patterns_are_means_over_answers() -> None:
    rows = [
        RowScore(at, 1.0, 1, 0, answer={"answer_tokens": 2.0 * at, "stopped": 1.0, "regex:a": float(at > 2)})
        for at in (1, 2, 3)
    ]

    scores = aggregate(rows, ["answer_tokens", "stopped", "regex:a"])

    assert scores["answer_tokens"].value == 4.0 and scores["answer_tokens"].low >= 0
    assert scores["stopped"].value == 1.0 and scores["stopped"].low < 0.5
    assert scores["regex:a"].value == pytest.approx(1 / 3)


def test_macro_f1_weighs_every_class_alike() -> None:
    # Four rows of one class, all right; one of another, taken for the first: F1 is 8/9 and 0.
    rows = [RowScore(at, 1.0, 1, 0, label=0, predicted=0) for at in range(4)]
    rows.append(RowScore(9, 1.0, 1, 0, label=1, predicted=0))

    assert aggregate(rows, ["macro_f1"])["macro_f1"].value == pytest.approx(4 / 9)


def test_the_loss_target_is_only_told_where_a_base_is_known() -> None:
    scores = {
        "perplexity": Score(value=9.0, low=8.0, high=11.0),
        "token_accuracy": Score(value=0.9, low=0.8, high=1.0),
        "accuracy": Score(value=0.91, low=0.8, high=1.0),
    }

    alone, compared = targets(scores, None), targets(scores, True)

    assert "loss" not in alone
    assert compared["loss"].met
    assert alone["perplexity"].met and alone["accuracy"].met
    assert not alone["token_accuracy"].met  # more than 90 %, not 90 %

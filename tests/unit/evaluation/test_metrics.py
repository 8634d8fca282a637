import math

import pytest

from tunesmith.evaluation.metrics import (
    RowScore,
    aggregate,
    choose_metrics,
    is_exact,
    require_known,
    targets,
)
from tunesmith.schemas.errors import InvalidArgument
from tunesmith.schemas.evaluations import Score

ROWS = [
    RowScore(row=1, loss=2.0, tokens=2, correct=2, exact=True),
    RowScore(row=2, loss=10.0, tokens=8, correct=4, exact=False),
]


def test_losses_are_means_over_tokens_and_not_over_rows() -> None:
    scores = aggregate(ROWS, ["loss", "perplexity", "token_accuracy", "exact_match"])

    assert scores["loss"].value == pytest.approx(1.2)
    assert scores["perplexity"].value == pytest.approx(math.exp(1.2))
    assert scores["perplexity"].high == pytest.approx(math.exp(scores["loss"].high))
    assert scores["token_accuracy"].value == pytest.approx(0.6)
    assert scores["exact_match"].value == 0.5


def test_only_what_was_asked_for_is_told() -> None:
    assert list(aggregate(ROWS, ["perplexity"])) == ["perplexity"]


def test_rows_without_a_written_answer_do_not_count_as_wrong() -> None:
    rows = [*ROWS, RowScore(row=3, loss=1.0, tokens=1, correct=1, exact=None)]

    assert aggregate(rows, ["exact_match"])["exact_match"].value == 0.5


def test_exact_match_is_in_the_default_only_where_references_are_short() -> None:
    assert choose_metrics([], [3, 64, 5000]) == ("loss", "perplexity", "token_accuracy", "exact_match")
    assert choose_metrics([], [3, 65, 5000]) == ("loss", "perplexity", "token_accuracy")
    assert choose_metrics(["exact_match", "loss"], [5000]) == ("loss", "exact_match")


def test_an_unknown_metric_is_refused_by_name_with_those_there_are() -> None:
    with pytest.raises(InvalidArgument) as refused:
        require_known(["loss", "bleu"])

    assert "bleu" in refused.value.message
    assert "loss, perplexity, token_accuracy, exact_match" in refused.value.recovery


def test_surrounding_whitespace_does_not_spoil_a_match() -> None:
    assert is_exact(" yes\n", "yes")
    assert not is_exact("Yes", "yes")


def test_the_loss_target_is_only_told_where_a_base_is_known() -> None:
    scores = {
        "perplexity": Score(value=9.0, low=8.0, high=11.0),
        "token_accuracy": Score(value=0.9, low=0.8, high=1.0),
    }

    alone, compared = targets(scores, None), targets(scores, True)

    assert "loss" not in alone
    assert compared["loss"].met
    assert alone["perplexity"].met
    assert not alone["token_accuracy"].met  # more than 90 %, not 90 %

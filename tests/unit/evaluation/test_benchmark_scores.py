from __future__ import annotations

import pytest

from tunesmith.evaluation.benchmark_scores import (
    Measured,
    benchmark_notes,
    differences,
    scores,
    split_metrics,
)

NAME = "lm_eval:colours/acc"


def rows(*values: float) -> Measured:
    return Measured(sum(values) / len(values), rows=dict(enumerate(values)))


def test_benchmarks_are_told_from_the_metrics_of_golden_rows() -> None:
    named = ["loss", "lm_eval:arc_easy", "regex:a", "lm_eval:/home/x/colours.yaml", "lm_eval:arc_easy"]
    assert split_metrics(named) == (["loss", "regex:a"], ["arc_easy", "/home/x/colours.yaml"])


def test_right_and_wrong_answers_have_wilsons_interval() -> None:
    score = scores({NAME: rows(*[1.0] * 8, *[0.0] * 2)})[NAME]
    assert score.value == 0.8
    assert (score.low, score.high) == pytest.approx((0.490, 0.943), abs=1e-3)


def test_a_figure_that_is_no_mean_has_the_harnesss_own_error_or_stands_in_a_note() -> None:
    known, unknown = Measured(3.0, error=0.5), Measured(4.0)
    found = scores({"lm_eval:a/ppl": known, "lm_eval:b/ppl": unknown})
    assert [*found] == ["lm_eval:a/ppl"]
    assert found["lm_eval:a/ppl"].high == pytest.approx(3.98, abs=1e-2)
    assert benchmark_notes({"lm_eval:a/ppl": known, "lm_eval:b/ppl": unknown}) == [
        "lm_eval:b/ppl is 4; nothing is known of its spread."
    ]


def test_paired_differences_need_the_same_rows_and_say_how_probable_chance_is() -> None:
    before, after = rows(*[0.0] * 20), rows(*[1.0] * 18, 0.0, 0.0)
    (told,) = differences({NAME: before}, {NAME: after}).values()
    assert told.value == pytest.approx(0.9) and told.low > 0.5 and told.p < 0.001
    assert differences({NAME: rows(0.0, 1.0)}, {NAME: after}) == {}
    assert differences({NAME: Measured(0.5, error=0.1)}, {NAME: after}) == {}
    assert differences({}, {NAME: after}) == {}


def test_figures_that_are_no_shares_keep_their_scale() -> None:
    before, after = rows(5.0, 7.0, 9.0), rows(3.0, 5.0, 7.5)
    assert differences({NAME: before}, {NAME: after})[NAME].value == pytest.approx(-11 / 6)
    assert scores({NAME: before})[NAME].value == 7.0

import math

import numpy as np
import pytest

from tunesmith.evaluation.comparison import compare
from tunesmith.evaluation.metrics import RowScore


def rows(losses: np.ndarray, tokens: int = 10) -> list[RowScore]:
    return [RowScore(at, float(loss) * tokens, tokens, 0) for at, loss in enumerate(losses, start=1)]


def pair(
    before: float, after: float, *, count: int = 200, noise: float = 0.02
) -> tuple[list[RowScore], list[RowScore]]:
    generator = np.random.default_rng(5)
    base = generator.normal(before, 0.3, size=count)
    base += before - base.mean()
    change = generator.normal(0, noise, size=count)
    return rows(base), rows(base + (after - before) + change - change.mean())


def test_a_clear_fall_of_the_loss_is_an_improvement_with_its_figures() -> None:
    found = compare(*pair(1.890, 1.700))

    assert found.verdict == "improved"
    assert found.loss_difference.value == pytest.approx(-0.19)
    assert "1.890" in found.message and "1.700" in found.message and "-10.1%" in found.message


def test_a_difference_that_is_real_but_tiny_is_no_meaningful_change() -> None:
    found = compare(*pair(1.890, 1.887, noise=0.002))

    assert found.loss_difference.high < 0  # as certain as can be
    assert found.verdict == "no_measurable_change"
    assert "No meaningful change" in found.message and "1.887" in found.message


def test_a_difference_within_chance_is_no_measurable_change() -> None:
    found = compare(*pair(1.890, 1.850, noise=1.0))

    assert found.loss_difference.low < 0 < found.loss_difference.high
    assert found.verdict == "no_measurable_change"
    assert "No measurable change" in found.message


def test_a_clear_rise_of_the_loss_is_called_worse() -> None:
    assert compare(*pair(1.890, 2.100)).verdict == "worse"


def test_a_handful_of_rows_decides_nothing() -> None:
    found = compare(*pair(3.0, 1.0, count=9))

    assert found.verdict == "no_measurable_change"
    assert "too few" in found.message
    assert compare(*pair(3.0, 1.0, count=10)).verdict == "improved"


def test_the_message_counts_the_answers_that_match() -> None:
    base = [RowScore(at, 10.0, 10, 0, answer={"exact_match": 0.0}) for at in range(12)]
    tuned = [RowScore(at, 1.0, 10, 9, answer={"exact_match": float(at > 1)}) for at in range(12)]

    assert "0 of 12 before, 10 after" in compare(base, tuned).message


def test_a_later_candidate_needs_a_clearer_difference() -> None:
    rows_of_both = pair(1.890, 1.860, count=40, noise=0.05)
    first, later = (compare(*rows_of_both, look=look) for look in (1, 40))

    assert first.verdict == "improved"
    assert later.verdict == "no_measurable_change" and "40th candidate" in later.message
    assert later.p_corrected == pytest.approx(min(1.0, first.differences["loss"].p * 40 * 41))


def test_every_metric_that_both_have_is_compared_row_by_row() -> None:
    base = [RowScore(at, 10.0, 10, 5, size=20, answer={"token_f1": 0.2}) for at in range(12)]
    tuned = [RowScore(at, 8.0 + at % 2, 10, 5, size=20, answer={"token_f1": 0.7}) for at in range(12)]

    found = compare(base, tuned, ["perplexity", "bits_per_byte", "token_accuracy", "token_f1"]).differences

    assert list(found) == ["loss", "bits_per_byte", "token_accuracy", "token_f1"]
    assert found["token_f1"].value == pytest.approx(0.5) and found["token_f1"].p == 2 / 2**12
    assert found["token_accuracy"].p == 1.0 and found["token_accuracy"].low < 0 < found["token_accuracy"].high
    assert found["bits_per_byte"].value == pytest.approx(-18 / math.log(2) / 240)

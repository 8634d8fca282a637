from __future__ import annotations

import numpy as np
import pytest

from benchmarks.intervals import best_of_equals
from tunesmith.evaluation.dev_split import deciding_rows, exploring_rows
from tunesmith.schemas.enums import Half


@pytest.mark.parametrize("rows", [1, 2, 15, 100])
def test_the_dev_half_is_cut_in_two_and_each_row_is_on_one_side(rows: int) -> None:
    numbers = range(1, rows + 1)

    deciding = deciding_rows(numbers, "gold-a", Half.DEV)
    exploring = exploring_rows(numbers, "gold-a", Half.DEV)

    assert deciding | set(exploring) == set(numbers) and not deciding & set(exploring)
    assert len(deciding) - len(exploring) in (0, 1)
    assert deciding_rows(reversed(numbers), "gold-a", Half.DEV) == deciding


def test_golden_sets_are_cut_in_different_ways() -> None:
    first, second = (deciding_rows(range(40), name, Half.DEV) for name in ("gold-a", "gold-b"))

    assert first != second


def test_every_row_of_the_test_half_decides() -> None:
    assert deciding_rows(range(9), "gold-a", Half.TEST) == set(range(9))
    assert exploring_rows(range(9), "gold-a", Half.TEST) == []


def test_who_searches_among_200_equal_prompts_is_told_better_in_at_most_5_percent_of_such_searches() -> None:
    told = [best_of_equals(200, 100, np.random.default_rng([9, loop])) for loop in range(120)]

    apart, together = (sum(better) for better in zip(*told, strict=True))
    # 5 % of 120 are 6; a true rate of 5 % gives more than 11 of them in fewer than 2 of 100 cases.
    assert apart <= 11
    assert together > 30, "the rows of the search would call noise better"

from __future__ import annotations

import numpy as np
import pytest

from tunesmith.evaluation.comparison import compare
from tunesmith.evaluation.dev_split import deciding_rows, exploring_rows
from tunesmith.evaluation.halving import Quality, successive_halving
from tunesmith.evaluation.metrics import RowScore
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


@pytest.mark.parametrize("loops", [120])
def test_who_searches_among_200_equal_prompts_is_told_better_in_at_most_5_percent_of_such_searches(
    loops: int,
) -> None:
    told = sum(search_among_equals(200, np.random.default_rng([9, loop])) for loop in range(loops))

    # 5 % of 120 are 6; a true rate of 5 % gives more than 11 of them in fewer than 2 of 100 cases.
    assert told <= 11


def search_among_equals(variants: int, generator: np.random.Generator) -> bool:
    """Whether the best of variants that differ from the bare prompt by noise alone is called improved."""
    numbers = range(100)
    exploring = exploring_rows(numbers, "gold-a", Half.DEV)
    deciding = sorted(deciding_rows(numbers, "gold-a", Half.DEV))
    bare = generator.normal(2.0, 0.4, 100)
    changes = generator.normal(0.0, 0.3, (variants, 100))

    def score(candidates: list[int], places: range) -> dict[int, list[Quality]]:
        return {
            one: [(-(bare + changes[one])[exploring[place]], 0.0) for place in places] for one in candidates
        }

    best = successive_halving(variants, len(exploring), score).standings[0].candidate
    assert (changes[best][exploring]).mean() < -0.03, "on the rows of the search it looks better"
    sides = [
        [RowScore(at, float(loss[at]) * 10, 10, 0) for at in deciding]
        for loss in (bare, bare + changes[best])
    ]
    return compare(*sides).verdict == "improved"

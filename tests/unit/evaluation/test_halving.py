from __future__ import annotations

import numpy as np
import pytest

from tunesmith.evaluation.halving import Quality, rung_candidates, rung_rows, successive_halving


class Arms:
    """Candidates with known qualities of each row; remembers what was scored."""

    def __init__(self, qualities: np.ndarray, broken: tuple[int, ...] = ()) -> None:
        self.qualities, self.broken = qualities, broken
        self.scored: list[tuple[int, int]] = []

    def __call__(self, candidates: list[int], places: range) -> dict[int, list[Quality]]:
        able = [candidate for candidate in candidates if candidate not in self.broken]
        self.scored += [(candidate, place) for candidate in able for place in places]
        return {one: [(float(self.qualities[one, place]), 0.0) for place in places] for one in able}


@pytest.mark.parametrize(
    ("rows", "sizes"), [(50, [8, 13, 25, 50]), (100, [8, 13, 25, 50, 100]), (9, [8, 9]), (3, [3])]
)
def test_the_rows_of_a_rung_double_until_all_are_used(rows: int, sizes: list[int]) -> None:
    assert rung_rows(rows) == sizes


@pytest.mark.parametrize(("candidates", "rows"), [(2, 50), (64, 50), (200, 100), (5, 4), (1, 50)])
def test_candidates_become_fewer_until_one_is_left(candidates: int, rows: int) -> None:
    left = rung_candidates(candidates, rows)

    assert left[0] == candidates and left[-1] == 1
    assert left == sorted(left, reverse=True)


def test_the_clearly_best_is_found_and_no_row_is_scored_twice() -> None:
    generator = np.random.default_rng(1)
    qualities = generator.normal(0, 1, (64, 50))
    qualities[41] += 3
    arms = Arms(qualities)

    found = successive_halving(64, 50, arms)

    assert found.standings[0].candidate == 41 and found.standings[0].rows == 50
    assert found.standings[0].quality[0] == pytest.approx(qualities[41].mean())
    assert found.rungs == [(64, 8), (23, 13), (8, 25), (3, 50)]
    assert len(arms.scored) == len(set(arms.scored)) < 64 * 50 / 3
    assert sorted(standing.candidate for standing in found.standings) == list(range(64))


def test_who_stayed_longer_stands_before_who_left_early() -> None:
    found = successive_halving(20, 40, Arms(np.random.default_rng(2).normal(0, 1, (20, 40))))

    rows = [standing.rows for standing in found.standings]
    assert rows == sorted(rows, reverse=True)


def test_equal_candidates_stay_in_the_order_of_the_list() -> None:
    found = successive_halving(4, 20, Arms(np.zeros((4, 20))))

    assert [standing.candidate for standing in found.standings] == [0, 1, 2, 3]


def test_the_second_figure_decides_between_equals() -> None:
    def score(candidates: list[int], places: range) -> dict[int, list[Quality]]:
        return {one: [(1.0, float(one))] * len(places) for one in candidates}

    assert successive_halving(4, 20, score).standings[0].candidate == 3


def test_a_candidate_that_cannot_be_scored_comes_last_and_costs_no_other_its_place() -> None:
    qualities = np.zeros((4, 20))
    qualities[0] = 9

    found = successive_halving(4, 20, Arms(qualities, broken=(0, 2)))

    assert [standing.candidate for standing in found.standings] == [1, 3, 0, 2]
    assert [standing.rows for standing in found.standings[2:]] == [0, 0]
    nobody = successive_halving(2, 20, Arms(qualities, broken=(0, 1)))
    assert all(standing.rows == 0 for standing in nobody.standings)

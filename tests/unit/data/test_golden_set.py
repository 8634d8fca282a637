from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.data.golden_features import Features
from tunesmith.data.golden_set import ABSENT, OTHER, Choice, Likeness, answers_are_labels, choose
from tunesmith.data.quality.words import mixed
from tunesmith.schemas.errors import InvalidArgument


def features(count: int, values: list[str] | None = None, characters: Any = 100, start: int = 0) -> Features:
    """Rows that all ask something else; `values` is one a row."""
    numbers = np.arange(start, start + count, dtype=np.uint64)
    names = list(dict.fromkeys(values or []))
    return Features(
        identities=mixed(numbers),
        answers=numbers,
        characters=np.broadcast_to(characters, count),
        topics=np.zeros(count, np.uint8),
        values=np.array([names.index(value) for value in values] if values else [-1] * count, np.int64),
        names=names,
        columns=frozenset(),
    )


def together(*parts: Features) -> Features:
    arrays = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("identities", "answers", "characters", "topics", "values")
    }
    return Features(**arrays, names=parts[0].names, columns=frozenset())


def apart(positions: Any) -> Likeness:
    """Nothing is near anything."""
    return Likeness(np.zeros((0, 2), np.int64), mixed(positions.astype(np.uint64) + np.uint64(1)))


def alike(positions: Any) -> Likeness:
    """All lie in one direction, and are no copies."""
    return Likeness(np.zeros((0, 2), np.int64), np.zeros(len(positions), np.uint64))


def asked(rows: Features, positions: Any) -> set[int]:
    return set(rows.identities[positions].tolist())


def test_the_halves_are_equal_disjoint_and_of_the_size_asked_for() -> None:
    choice = choose(features(500), 101, 0, apart)
    assert len(choice.positions) == 101 == len(choice.dev) + len(choice.test)
    assert abs(len(choice.dev) - len(choice.test)) == 1
    assert sum(choice.held_out.values()) == 101 and sum(choice.population.values()) == 500


def test_a_size_below_one_is_a_share_of_the_rows() -> None:
    assert len(choose(features(400), 0.05, 0, apart).positions) == 20


def test_the_same_rows_give_the_same_choice_and_another_seed_another() -> None:
    rows = features(300)
    one, again, other = (choose(rows, 60, seed, apart).positions.tolist() for seed in (1, 1, 2))
    assert one == again != other


def test_more_rows_leave_most_of_the_choice_and_of_the_halves_standing() -> None:
    before = features(400)
    after = together(before, features(40, start=400))
    old, new = choose(before, 80, 0, apart), choose(after, 80, 0, apart)
    assert len(asked(before, old.positions) & asked(after, new.positions)) >= 0.85 * 80
    assert len(asked(before, old.dev) & asked(after, new.test)) <= 0.1 * 80
    assert len(asked(before, old.test) & asked(after, new.dev)) <= 0.1 * 80


@given(st.integers(40, 300), st.integers(1, 60), st.integers(0, 1000))
def test_a_row_leaves_only_for_a_new_one_or_with_the_share_of_its_stratum(
    old: int, more: int, seed: int
) -> None:
    lengths = np.random.default_rng(seed).choice([10, 100, 1000], old + more)
    rows = features(old + more, characters=lengths)
    before, after = (
        choose(features(count, characters=lengths[:count]), 20, seed, alike) for count in (old, old + more)
    )
    for length, stratum in ((10, "8 to 15"), (100, "64 to 127"), (1000, "512 to 1023")):
        held_before, held_after = (
            {position for position in choice.positions.tolist() if rows.characters[position] == length}
            for choice in (before, after)
        )
        new = {position for position in held_after if position >= old}
        name = f"{stratum} characters"
        decrease = before.held_out.get(name, 0) - after.held_out.get(name, 0)
        assert len(held_before - held_after) <= len(new) + max(0, decrease)
        assert len(held_after - held_before - new) <= max(0, -decrease)


def test_every_label_and_length_gets_its_share_of_both_halves() -> None:
    values = ["common"] * 600 + ["some"] * 300 + ["rare"] * 100
    rows = features(1000, values, characters=np.array([40, 400] * 500))
    choice = choose(rows, 100, 0, apart)
    for half in (choice.dev, choice.test):
        assert Counter(values[position] for position in half) == {"common": 30, "some": 15, "rare": 5}
        assert Counter((half % 2).tolist()) == {0: 25, 1: 25}
    assert choice.held_out["common / 32 to 63 characters"] == 30
    assert choice.population["common / 256 to 511 characters"] == 300


def test_values_that_do_not_repeat_share_a_stratum_and_so_do_rows_without_one() -> None:
    rows = features(60, ["often"] * 30 + [f"once {number}" for number in range(20)] + ["gone"] * 10)
    rows.values[50:] = -1
    choice = choose(rows, 30, 0, apart)
    strata = Counter({name.split(" / ")[0]: count for name, count in choice.population.items()})
    assert strata == {"often": 30, OTHER: 20, ABSENT: 10}


def test_long_values_that_begin_alike_are_one_stratum() -> None:
    rows = features(100, ["x" * 100 + "a"] * 50 + ["x" * 100 + "b"] * 50)
    assert list(choose(rows, 20, 0, apart).population.values()) == [100]


def test_of_rows_that_ask_the_same_one_is_held_out_whatever_their_order() -> None:
    rows = together(features(100), features(100), features(100))
    rows.answers[:] = np.arange(300)
    order = np.random.default_rng(0).permutation(300)
    shuffled = Features(
        rows.identities[order],
        rows.answers[order],
        rows.characters,
        rows.topics,
        rows.values,
        [],
        frozenset(),
    )
    one, other = choose(rows, 20, 0, alike), choose(shuffled, 20, 0, alike)
    assert len(asked(rows, one.positions)) == 20 == len(one.positions)
    assert set(order[other.dev].tolist()) == set(one.dev.tolist())


def test_never_more_than_half_of_the_different_rows_are_held_out() -> None:
    assert len(choose(together(features(100), features(100)), 150, 0, apart).positions) == 50


def test_copies_of_a_held_out_row_are_not_held_out_too() -> None:
    def pairs_of_neighbours(positions: Any) -> Likeness:
        place = {int(position): place for place, position in enumerate(positions)}
        near = [(place[p], place[p + 1]) for p in place if p % 2 == 0 and p + 1 in place]
        return Likeness(np.array(near, np.int64).reshape(-1, 2), apart(positions).simhashes)

    choice = choose(features(200), 80, 0, pairs_of_neighbours)
    assert len(choice.positions) == 80 == len(set((choice.positions // 2).tolist()))


def test_rows_of_one_stratum_lie_apart_where_there_are_enough_of_them() -> None:
    directions = mixed(np.arange(1, 41, dtype=np.uint64))  # some 90 degrees from each other

    def five_of_each(positions: Any) -> Likeness:
        return Likeness(np.zeros((0, 2), np.int64), directions[positions % 40])

    def held(size: int) -> Choice:
        return choose(features(200), size, 0, five_of_each)

    assert len(set((held(12).positions % 40).tolist())) == 12
    assert len(held(60).positions) == 60


@pytest.mark.parametrize(
    ("rows", "size"),
    [(7, 2), (100, 100), (100, 200), (100, 1), (100, 0), (100, -5), (100, 0.001), (100, 1.5)],
)
def test_a_dataset_too_small_for_the_size_is_refused(rows: int, size: float) -> None:
    with pytest.raises(InvalidArgument):
        choose(features(rows), size, 0, apart)


def test_the_refusal_proposes_a_size_that_works() -> None:
    with pytest.raises(InvalidArgument, match=r"size=200 .* 100 rows") as raised:
        choose(features(100), 200, 0, apart)
    assert "size=20:" in raised.value.recovery
    assert len(choose(features(100), 20, 0, apart).positions) == 20


def test_a_few_answers_again_and_again_are_labels() -> None:
    assert answers_are_labels(np.arange(100) % 3)
    assert not answers_are_labels(np.arange(100) % 10)
    assert not answers_are_labels(np.arange(100_000) % 300)

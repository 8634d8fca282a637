from __future__ import annotations

from collections import Counter

import pytest

from tunesmith.data.golden_set import (
    Candidate,
    Choice,
    choose,
    identity,
    largest_remainder,
    stratum_value,
    with_values,
)
from tunesmith.data.rows import Message, Row
from tunesmith.schemas.errors import InvalidArgument


def candidates(count: int, value: str = "", start: int = 0) -> list[Candidate]:
    return [
        Candidate(identity(Row(1, f"prompt {number}")), 10 + number % 97, value)
        for number in range(start, start + count)
    ]


def held_out(rows: list[Candidate], choice: Choice) -> set[bytes]:
    return {rows[position].identity for position in choice.dev | choice.test}


def test_the_halves_are_equal_disjoint_and_of_the_size_asked_for() -> None:
    choice = choose(candidates(500), 101, seed=0)
    assert len(choice.dev | choice.test) == 101
    assert not choice.dev & choice.test
    assert abs(len(choice.dev) - len(choice.test)) == 1
    assert sum(choice.strata.values()) == 101


def test_the_same_rows_give_the_same_choice_and_another_seed_another() -> None:
    rows = candidates(300)
    assert choose(rows, 60, seed=1) == choose(rows, 60, seed=1)
    assert held_out(rows, choose(rows, 60, seed=1)) != held_out(rows, choose(rows, 60, seed=2))


def test_the_choice_does_not_hang_on_the_order_of_rows() -> None:
    rows = candidates(300)
    backwards = rows[::-1]
    assert held_out(rows, choose(rows, 60, 0)) == held_out(backwards, choose(backwards, 60, 0))


def test_more_rows_leave_most_of_the_choice_and_of_the_halves_standing() -> None:
    before = candidates(400)
    after = before + candidates(40, start=400)
    old, new = choose(before, 80, 0), choose(after, 80, 0)
    assert len(held_out(before, old) & held_out(after, new)) >= 0.8 * 80
    assert len(old.dev & new.test | old.test & new.dev) <= 0.1 * 80


def test_every_length_gets_its_share_of_both_halves() -> None:
    rows = [Candidate(identity(Row(1, str(number))), number) for number in range(400)]
    choice = choose(rows, 80, 0)
    for half in (choice.dev, choice.test):
        assert Counter(position // 100 for position in half) == {0: 10, 1: 10, 2: 10, 3: 10}
    assert list(choice.strata.values()) == [20, 20, 20, 20]


def test_every_value_of_a_column_gets_its_proportional_share_of_both_halves() -> None:
    rows = candidates(600, "common") + candidates(300, "some", 600) + candidates(100, "rare", 900)
    choice = choose(rows, 100, 0)
    assert Counter(rows[position].value for position in choice.dev) == {"common": 30, "some": 15, "rare": 5}
    assert Counter(rows[position].value for position in choice.test) == {"common": 30, "some": 15, "rare": 5}


def test_many_small_strata_still_give_equal_halves() -> None:
    rows = [row for group in range(50) for row in candidates(7, f"value {group}", 100 * group)]
    choice = choose(rows, 51, 0)
    assert len(choice.dev | choice.test) == 51
    assert abs(len(choice.dev) - len(choice.test)) == 1


def test_rows_that_ask_what_a_held_out_row_asks_are_leaks() -> None:
    rows = candidates(100) * 3
    choice = choose(rows, 20, 0)
    assert len(held_out(rows, choice)) == len(choice.dev | choice.test) == 20
    assert len(choice.leaks) == 40
    training = set(range(300)) - choice.dev - choice.test - choice.leaks
    assert not {rows[position].identity for position in training} & held_out(rows, choice)


def test_never_more_than_half_of_the_different_rows_are_held_out() -> None:
    choice = choose(candidates(100) * 2, 150, 0)
    assert len(choice.dev | choice.test) == 50


@pytest.mark.parametrize(("rows", "size"), [(7, 2), (0, 2), (100, 100), (100, 200), (100, 1), (100, -5)])
def test_a_dataset_too_small_for_the_size_is_refused(rows: int, size: int) -> None:
    with pytest.raises(InvalidArgument):
        choose(candidates(rows), size, 0)


def test_the_refusal_proposes_a_size_that_works() -> None:
    rows = candidates(100)
    with pytest.raises(InvalidArgument, match=r"size=200 .* 100 rows") as raised:
        choose(rows, 200, 0)
    assert "size=20:" in raised.value.recovery
    assert len(held_out(rows, choose(rows, 20, 0))) == 20


def test_one_prompt_many_times_over_is_not_enough() -> None:
    with pytest.raises(InvalidArgument, match="1 different"):
        choose(candidates(1) * 100, 10, 0)


def test_identity_is_blind_to_case_white_space_and_the_answer() -> None:
    assert identity(Row(1, "Hello  World\n", "a")) == identity(Row(2, " hello world", "b"))
    assert identity(Row(1, "hello", "a")) != identity(Row(1, "hallo", "a"))


def test_identity_of_plain_text_is_the_text() -> None:
    assert identity(Row(1, "", "One  tale")) == identity(Row(1, "", "one tale"))
    assert identity(Row(1, "", "one tale")) != identity(Row(1, "", "another tale"))


def test_identity_of_a_conversation_is_what_comes_before_the_last_answer() -> None:
    def chat(*turns: tuple[str, str]) -> bytes:
        return identity(Row(1, messages=tuple(Message(role, content) for role, content in turns)))

    short = chat(("user", "Hi"), ("assistant", "Hello"))
    assert short == chat(("user", "hi"), ("assistant", "Good day"))
    assert short == chat(("user", "hi"), ("assistant", "Good day"), ("user", "thanks"))
    assert short != chat(("user", "hi"), ("assistant", "Hello"), ("user", "and?"), ("assistant", "x"))
    assert short != chat(("system", "Be rude."), ("user", "hi"), ("assistant", "Hello"))


def test_largest_remainders_are_rounded_up() -> None:
    assert largest_remainder({("a", 0): 50, ("b", 0): 30, ("c", 0): 21}, 10) == {
        ("a", 0): 5,
        ("b", 0): 3,
        ("c", 0): 2,
    }


def test_a_column_is_found_among_extras_and_among_the_formats_own() -> None:
    columns = {"instruction": "sentence", "response": "label"}
    row = Row(1, "wrapped", "positive", extras={"topic": "film"})
    assert stratum_value(row, "topic", columns) == "film"
    assert stratum_value(row, "label", columns) == stratum_value(row, "response", columns) == "positive"
    assert stratum_value(row, "nope", columns) is None


def test_values_that_do_not_repeat_share_a_stratum() -> None:
    rows = with_values(candidates(5), ["a", "a", "b", None, "c"])
    assert [row.value for row in rows] == ["a", "a", "(other)", "(none)", "(other)"]

"""What is the nature of a dataset is no defect of its rows."""

from __future__ import annotations

from tunesmith.data.quality.answer_habits import AnswerHabits

PROSE = "Bread is made of flour and water. " * 10


def habits_of(answers: list[tuple[str, set[str]]]) -> AnswerHabits:
    habits = AnswerHabits()
    for row, (answer, kinds) in enumerate(answers, start=1):
        habits.add(row, answer, kinds)
    return habits


def test_a_few_broken_answers_stay_defects() -> None:
    habits = habits_of([(PROSE, {"truncated"})] * 5 + [(PROSE, set())] * 95)
    assert habits.suppressed() == {}


def test_answers_that_never_end_with_a_full_stop_are_not_truncated() -> None:
    habits = habits_of([(PROSE, {"truncated"})] * 40 + [(PROSE, set())] * 60)
    assert set(habits.suppressed()) == {"truncated"}


def test_truncation_is_judged_by_the_answers_that_are_long_enough() -> None:
    habits = habits_of([(PROSE, {"truncated"})] * 20 + [(PROSE, set())] * 20 + [("yes", set())] * 960)
    assert set(habits.suppressed()) == {"truncated"}


def test_markup_in_many_rows_is_the_subject() -> None:
    assert set(habits_of([(PROSE, {"html"})] * 30 + [(PROSE, set())] * 70).suppressed()) == {"html"}


def test_short_labels_are_no_stand_ins() -> None:
    habits = habits_of([("none", {"placeholder"})] * 30 + [("1", {"too_short"})] * 30 + [("2", set())] * 40)
    assert set(habits.suppressed()) == {"placeholder", "too_short"}


def test_a_stand_in_among_long_answers_stays_a_defect_however_frequent() -> None:
    habits = habits_of([("n/a", {"placeholder"})] * 30 + [(PROSE, set())] * 70)
    assert habits.suppressed() == {}


def test_few_rows_make_no_habit() -> None:
    assert habits_of([(PROSE, {"html"})] * 5).suppressed() == {}


def test_an_answer_far_longer_than_all_others_stands_out() -> None:
    habits = habits_of([(PROSE, set())] * 100 + [(PROSE * 100, set())])
    assert habits.too_long() == [101]


def test_nothing_is_too_long_among_long_answers() -> None:
    assert habits_of([(PROSE * 100, set())] * 100).too_long() == []


def test_lengths_can_be_given_in_tokens() -> None:
    habits = AnswerHabits(never_too_long=1_000)
    for row in range(100):
        habits.add(row, PROSE, set(), length=80)
    habits.add(100, PROSE, set(), length=2_000)
    assert habits.too_long() == [100]


def test_parts_counted_apart_give_what_the_whole_gives() -> None:
    rows = [(PROSE, {"truncated"})] * 40 + [(PROSE, set())] * 60 + [(PROSE * 100, set())]
    first, second = habits_of(rows[:50]), habits_of(rows[50:])
    first.merge(second, offset=50)
    whole = habits_of(rows)
    assert (first.suppressed(), first.too_long()) == (whole.suppressed(), whole.too_long())
    assert first.median() == whole.median()

"""Answers laid out otherwise than nearly all others."""

from __future__ import annotations

import json

from tunesmith.data.quality.layout_habits import LEAST_ROWS, LayoutHabits


def habits(answers: list[str]) -> LayoutHabits:
    made = LayoutHabits()
    for row, answer in enumerate(answers, start=1):
        made.add(answer, row)
    return made


def test_plain_text_among_json_answers_breaks_the_habit() -> None:
    answers = [json.dumps({"intent": number}) for number in range(95)] + ["I could not tell."] * 5
    assert habits(answers).breaks() == {"json": [96, 97, 98, 99, 100]}


def test_one_list_among_sentences_may_be_what_was_asked_for() -> None:
    assert habits(["A sentence."] * 95 + ["[1, 2, 3]", '"A quotation"']).breaks() == {}


def test_space_around_a_few_answers_breaks_the_habit_of_having_none() -> None:
    assert habits(["yes"] * 60 + [" yes"]).breaks() == {"space_around": [61]}


def test_a_space_before_nearly_every_answer_is_the_habit() -> None:
    assert habits([" yes"] * 60 + ["yes"]).breaks() == {"space_around": [61]}


def test_when_the_layouts_are_evenly_mixed_there_is_no_habit() -> None:
    assert habits(["yes", " yes"] * 50).breaks() == {}


def test_a_few_rows_make_no_habit() -> None:
    assert habits(["yes"] * (LEAST_ROWS - 2) + [" yes"]).breaks() == {}


def test_merging_counts_both_and_shifts_rows() -> None:
    first = habits(["yes"] * 40)
    first.merge(habits(["yes"] * 20 + [" yes"]), offset=40)
    assert first.breaks() == {"space_around": [61]}

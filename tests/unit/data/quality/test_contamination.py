from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest

from tunesmith.data.quality.contamination import COMMON_ROWS, Index, Texts, as_texts, fewest_rows, join_texts
from tunesmith.data.quality.openings import Openings, find_openings

LETTERS = "bcdfghklmnprstvw"
NONE = Openings({}, {})


def passage(chance: random.Random, words: int) -> str:
    return " ".join("".join(chance.choices(LETTERS, k=5)) for _ in range(words))


def texts(*rows: tuple[str, str]) -> Texts:
    asked, answers = ([row[side] for row in rows] for side in (0, 1))
    return as_texts(pa.array(asked, pa.string()), pa.array(answers, pa.string()))


def overlapping(rows: Texts, references: Texts, openings: Openings = NONE) -> set[tuple[int, int]]:
    index = Index(references, openings)
    found = index.overlaps(rows)
    return {tuple(pair) for pair in np.concatenate([found.pairs, index.containing(found.runs)]).tolist()}


def test_the_same_question_overlaps_however_it_is_written() -> None:
    held_out = texts(("What is it?", "a tree"), ("Who?", "me"))
    rows = texts(("who", "you"), ("WHAT  is it", "a house"), ("What was it?", "a tree"))
    assert overlapping(rows, held_out) == {(0, 1), (1, 0)}


def test_a_question_with_a_word_more_overlaps() -> None:
    question = "Describe the most challenging project that you have ever worked on"
    assert overlapping(texts((f"{question}, please!", "x")), texts((question, "y"))) == {(0, 0)}


def test_short_questions_about_other_things_do_not_overlap() -> None:
    held_out = texts(("What is the capital of France?", "Paris"), ("Is it?", "yes"), ("What is 3 + 4?", "7"))
    rows = texts(("What is the capital of Spain?", "Madrid"), ("Was it?", "yes"), ("What is 3 - 4?", "-1"))
    assert overlapping(rows, held_out) == set()


def test_a_long_answer_copied_to_another_question_overlaps() -> None:
    answer = passage(random.Random(1), 60)
    rows = texts(
        ("Say it again", answer), ("Again", f"Surely! {answer} {answer[::-1]}"), ("Other", answer[:80])
    )
    assert overlapping(rows, texts(("Tell me all", answer))) == {(0, 0), (1, 0)}


def test_what_many_rows_say_is_no_sign_of_overlap() -> None:
    chance = random.Random(1)
    canned = passage(chance, 60)
    held_out = texts((passage(chance, 5), canned))
    few = texts(*((passage(chance, 5), canned) for _ in range(COMMON_ROWS)))
    many = texts(*((passage(chance, 5), canned) for _ in range(COMMON_ROWS + 1)))
    assert len(overlapping(few, held_out)) == COMMON_ROWS
    assert overlapping(many, held_out) == set()


def test_leaving_out_runs_that_are_common_anyway_changes_nothing() -> None:
    chance = random.Random(3)
    answers = [passage(chance, 40) for _ in range(4)]
    held_out = texts(*((passage(chance, 5), answer) for answer in answers))
    rows = texts(
        *((passage(chance, 5), answers[n % 2]) for n in range(40)),
        *((passage(chance, 5), answers[2]) for _ in range(3)),
    )
    index = Index(held_out, NONE)
    runs = index.overlaps(rows).runs
    fewer = fewest_rows(runs)
    assert len(fewer) < len(runs)
    assert index.containing(fewer).tolist() == index.containing(runs).tolist() == [[40, 2], [41, 2], [42, 2]]


def test_a_template_alone_is_no_overlap_and_hides_none() -> None:
    chance = random.Random(4)
    template = "Here is a sentence of a review . Is it good or bad ? The sentence is this : "
    rows = texts(*((template + passage(chance, 2), "good") for _ in range(100)))
    openings = find_openings(rows.questions.hashes, rows.questions.offsets)
    held_out = texts((template + passage(chance, 2), "good"))
    assert overlapping(rows, held_out, openings) == set()
    assert len(overlapping(rows, held_out)) == 100  # without knowing the template
    assert overlapping(rows, join_texts([held_out, rows]), openings) == {(n, n + 1) for n in range(100)}


def test_plain_texts_are_compared_as_questions_are() -> None:
    text = passage(random.Random(5), 30)
    assert overlapping(texts(("", text.upper()), (" ", "another")), texts(("", f"{text} so"))) == {(0, 0)}


@pytest.mark.parametrize("rows", [texts(), texts(("", ""), ("?", "!"))], ids=["no rows", "no words"])
def test_nothing_overlaps_with_nothing(rows: Texts) -> None:
    assert overlapping(rows, texts(("a", "b"))) == set()
    assert overlapping(texts(("a", "b")), rows) == set()
    assert overlapping(texts(("...", "b")), rows) == set()

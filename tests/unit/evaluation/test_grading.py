import time

from tunesmith.evaluation.generation import Written
from tunesmith.evaluation.grading import Grader


def test_a_pattern_that_backtracks_without_end_elsewhere_is_searched_at_once() -> None:
    grader = Grader(["regex:^(a+)+$"], [""])
    before = time.monotonic()

    grade = grader.grade(Written("a" * 20_000 + "b", 5, "eos"), "")

    assert grade.figures == {"regex:^(a+)+$": 0.0}
    assert time.monotonic() - before < 5  # `re` would not end in this universe


def test_an_answer_gets_the_figures_that_were_asked_for_and_no_other() -> None:
    answer = Written("green", 3, "length")

    assert Grader(["stopped", "token_f1", "loss"], ["green"]).grade(answer, "dark green").figures == {
        "token_f1": 2 / 3,
        "stopped": 0.0,
    }


def test_a_label_counts_whatever_its_case_and_any_other_answer_is_no_label() -> None:
    grader = Grader(["accuracy"], ["spam", "ham", "spam"])

    right = grader.grade(Written(" Spam.\n", 2, "eos"), "spam")
    wrong = grader.grade(Written("ham", 2, "eos"), "spam")
    none = grader.grade(Written("It could be spam", 5, "eos"), "spam")
    empty = grader.grade(Written("", 1, "eos"), "ham")

    assert (right.label, right.predicted, right.figures) == (0, 0, {"accuracy": 1.0})
    assert (wrong.label, wrong.predicted, wrong.figures) == (0, 1, {"accuracy": 0.0})
    assert (none.predicted, empty.predicted) == (-1, -1)
    assert none.figures == empty.figures == {"accuracy": 0.0}

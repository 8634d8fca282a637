import numpy as np
import pytest

from tunesmith.evaluation.classification import LabelSet, confusion, macro_f1, macro_f1_difference


def test_labels_are_numbered_by_frequency_and_shown_in_their_usual_spelling() -> None:
    labels = LabelSet(["Ham", "spam", "Spam", "spam.", "spam"])

    assert labels.names == ["spam", "Ham"]
    assert [labels.number(answer) for answer in ("SPAM", "ham", "eggs", "", "spam " * 99)] == [
        0,
        1,
        -1,
        -1,
        -1,
    ]


def test_the_table_counts_what_was_taken_for_what_and_what_is_no_label() -> None:
    table = confusion(np.array([0, 0, 0, 1, 1]), np.array([0, 1, -1, 1, -1]), ["spam", "h\u202eam"])

    assert table.untrusted_labels == ["spam", "ham"]
    assert table.counts == [[1, 1, 1], [0, 1, 1]]


def test_of_many_labels_the_rarest_stand_together() -> None:
    labels = np.arange(30)

    table = confusion(labels, np.where(labels % 2, labels, -1), [f"label {at}" for at in labels])

    assert len(table.untrusted_labels) == 20 and table.untrusted_labels[-1] == "(11 other labels)"
    assert table.counts[19][19] == 6 and table.counts[19][20] == 5  # of labels 19 to 29
    assert sum(map(sum, table.counts)) == 30


def test_macro_f1_has_width_where_every_answer_was_right() -> None:
    labels = np.array([0, 1] * 10)

    score = macro_f1(labels, labels, 2)

    assert score.value == score.high == 1.0 and 0.6 < score.low < 0.98


def test_a_better_classifier_is_told_apart_and_an_equal_one_is_not() -> None:
    generator = np.random.default_rng(0)
    labels = np.array([0, 1, 2] * 20)
    base = np.where(generator.random(60) < 0.5, labels, -1)

    better = macro_f1_difference(labels, base, labels, 3)
    equal = macro_f1_difference(labels, base, base, 3)

    assert better.p < 0.001 and better.low > 0
    assert equal.value == 0.0 and equal.p == 1.0
    assert macro_f1_difference(labels, labels, base, 3).value == pytest.approx(-better.value)

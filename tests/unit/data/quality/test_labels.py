"""Class labels: what counts as one, how even the classes are, and odd ones."""

from __future__ import annotations

import pytest

from tunesmith.data.quality.labels import Labels, normalised_label


def labels(**rows_of_label: int) -> Labels:
    made = Labels()
    row = 0
    for label, rows in rows_of_label.items():
        for _ in range(rows):
            row += 1
            made.add(label, row)
    return made


def test_few_short_answers_used_again_and_again_are_labels() -> None:
    assert labels(spam=30, ham=70).are_labels()


def test_answers_that_are_all_different_are_no_labels() -> None:
    assert not labels(**{f"answer{number}": 1 for number in range(100)}).are_labels()


def test_one_answer_alone_is_no_class() -> None:
    assert not labels(yes=50).are_labels()


def test_some_long_answers_among_short_ones_make_them_no_labels() -> None:
    mixed = labels(yes=50, no=40)
    for row in range(10):
        mixed.add("a whole sentence that explains at length why neither of the two is quite right", row)
    assert not mixed.are_labels()


def test_conversations_have_no_labels() -> None:
    chats = labels(yes=50, no=40)
    for _ in range(10):
        chats.add_other()
    assert not chats.are_labels()


def test_balance_takes_spellings_of_a_label_together() -> None:
    balance = labels(spam=18, Spam=2, ham=80).balance()
    assert balance.rows_of_class == {"ham": 80, "spam": 20}
    assert balance.imbalance_ratio == pytest.approx(4)
    assert balance.largest_share == pytest.approx(0.8)


def test_equal_classes_have_evenness_one() -> None:
    assert labels(a=25, b=25, c=25, d=25).balance().evenness == pytest.approx(1)


def test_variants_point_to_the_usual_spelling() -> None:
    made = labels(card_arrival=50, exchange_rate=40)
    made.add("Card Arrival", 91)
    made.add(" exchange_rate", 92)
    assert made.variants() == {"Card Arrival": "card_arrival", " exchange_rate": "exchange_rate"}
    assert made.rows_of("Card Arrival") == [91]


@pytest.mark.parametrize(("one", "other"), [("C++", "C#"), ("+1", "-1"), ("-1", "1"), (":)", ":(")])
def test_labels_that_differ_in_signs_are_different_labels(one: str, other: str) -> None:
    assert normalised_label(one) != normalised_label(other)


@pytest.mark.parametrize(
    "variant", ["Card Arrival", "card-arrival", " card_arrival ", '"card arrival".', "CARD  ARRIVAL"]
)
def test_case_separators_and_quotes_make_no_other_label(variant: str) -> None:
    assert normalised_label(variant) == normalised_label("card_arrival")


def test_a_label_hardly_used_beside_the_others_is_rare_and_a_small_class_is_not() -> None:
    made = labels(a=110, b=90, c=60, d=8, typo=2)
    assert made.rare() == ["typo"]


def test_in_a_small_dataset_nothing_is_rare() -> None:
    assert labels(a=5, b=6, c=1).rare() == []


def test_merging_counts_both_and_shifts_rows() -> None:
    first, second = labels(a=5), labels(a=2, b=5)
    first.merge(second, offset=5)
    assert first.rows_of("a") == [1, 2, 3, 4, 5, 6, 7]
    assert first.balance().rows_of_class == {"a": 7, "b": 5}

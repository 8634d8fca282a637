"""How varied a dataset is."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tunesmith.data.quality.diversity import LEAST_ROWS, TextSample, measure, vendi_score

WORDS = [f"w{number}" for number in range(2_000)]


def varied(count: int, seed: int = 0) -> list[str]:
    picker = random.Random(seed)
    return [" ".join(picker.choices(WORDS, k=12)) for _ in range(count)]


def test_the_vendi_score_is_one_for_copies_and_the_number_for_strangers() -> None:
    assert vendi_score(np.tile([[1.0, 0.0]], (10, 1))) == pytest.approx(1)
    assert vendi_score(np.eye(10)) == pytest.approx(10)


def test_texts_of_one_pattern_are_less_diverse_than_texts_of_many_words() -> None:
    pattern = [f"Tell me the price of item {number % 7} please" for number in range(200)]
    low, high = measure(pattern), measure(varied(200))
    assert low is not None
    assert high is not None
    assert low.distinct_3 < 0.2 < high.distinct_3
    assert low.distinct_openings < 0.1 < high.distinct_openings
    assert low.vendi_score < 20 < high.vendi_score


def test_too_few_texts_have_no_measure() -> None:
    assert measure(varied(LEAST_ROWS - 1)) is None
    assert measure(varied(LEAST_ROWS)) is not None


def test_texts_without_any_word_are_all_the_same() -> None:
    diversity = measure(["!?"] * 30)
    assert diversity is not None
    assert diversity.vendi_score == pytest.approx(1)


def test_the_sample_hangs_on_the_texts_and_not_on_their_order_or_the_processes() -> None:
    texts = varied(500)
    whole, first, second = TextSample(50), TextSample(50), TextSample(50)
    for text in texts:
        whole.add(text)
    for text in reversed(texts[:250]):
        second.add(text)
    for text in texts[250:]:
        first.add(text)
    first.merge(second)
    assert first.texts() == whole.texts()
    assert len(whole.texts()) == 50
    assert set(whole.texts()) <= set(texts)

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.data.quality.words import split, text_hashes


def hashes(*texts: str | None) -> list[int]:
    array = pa.array(texts, pa.string())
    return text_hashes(split(array), array).tolist()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Hello,  World!", "hello world"),
        ("“Fine”—isn’t it", "fine isn't it"),
        ("ﬁne Ünïcode", "FINE ünïcode"),
        ("Straße", "STRASSE"),
        ("a…b", "a b"),
        ("你好，世界", "你好 世界"),
        ("C # code", "c#code"),
    ],
)
def test_texts_that_differ_in_writing_only_are_equal(one: str, other: str) -> None:
    left, right = hashes(one, other)
    assert left == right


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a b", "b a"),
        ("ab", "a b"),
        ("C#", "C"),
        ("2+3", "2*3"),
        ("你好", "好你"),
        ("x", "x x"),
        ("😀", "😢"),
        ("?", "!"),
    ],
)
def test_texts_that_say_something_else_differ(one: str, other: str) -> None:
    left, right = hashes(one, other)
    assert left != right


def test_words_do_not_reach_over_the_end_of_a_text() -> None:
    assert split(pa.array(["one tw", "o three", "", None, "--", "++"])).counts.tolist() == [2, 2, 0, 0, 1, 1]


def test_a_text_of_many_megabytes_is_split_like_a_short_one() -> None:
    words = split(pa.array(["ab " * 1_000_000, "ab", "a" * 3_000_000, "a" * 4_000_000]))
    assert words.counts.tolist() == [1_000_000, 1, 1, 1]
    assert set(words.hashes[:1_000_000].tolist()) == {int(words.hashes[1_000_000])}


@given(st.lists(st.text(max_size=30), max_size=8))
def test_a_text_has_the_same_words_whatever_stands_beside_it(texts: list[str]) -> None:
    texts = [text.encode(errors="ignore").decode() for text in texts]
    assert hashes(*texts) == [hashes(text)[0] for text in texts]
    array = pa.chunked_array([pa.array(["before", *texts])]).combine_chunks().slice(1)
    assert text_hashes(split(array), array).tolist() == hashes(*texts)

import pytest

from tunesmith.evaluation.answer_metrics import (
    chrf,
    is_exact,
    json_fields,
    json_value,
    rouge_l,
    token_f1,
    words,
)


def test_surrounding_whitespace_does_not_spoil_a_match() -> None:
    assert is_exact(" yes\n", "yes")
    assert not is_exact("Yes", "yes")


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ("The cat sat.", "a cat sat", 1.0),
        ("cat cat cat", "cat", 0.5),  # a word counts as often as both have it
        ("a dog", "a cat", 0.0),
        ("", "cat", 0.0),
        ("", "", 1.0),
        ("the", "an", 0.0),
        ("the", "The!", 1.0),
        ("今天天气好", "今天天气很好。", 2 * 5 / (5 + 6)),
        ("กินข้าว", "กินข้าวแล้ว", 2 * 5 / (5 + 8)),
        ("नमस्ते दुनिया", "नमस्ते संसार", 0.5),
        ("iPhoneを買う", "iPhone を 買う", 1.0),
        ("Straße", "STRASSE", 1.0),
    ],
)
def test_token_f1_counts_words_as_squad_does_in_any_script(
    answer: str, reference: str, expected: float
) -> None:
    assert token_f1(answer, reference) == pytest.approx(expected)


def test_marks_stay_with_their_letters() -> None:
    assert words("हिन्दी, ไทย!") == ["हिन्दी", "ไ", "ท", "ย"]
    assert words("n\u0303 e\u0301") == ["ñ", "é"]


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        # The example of C.-Y. Lin, 2004: two and three words in order, of four.
        ("police kill the gunman", "police killed the gunman", 0.75),
        ("the gunman kill police", "police killed the gunman", 0.5),
        ("", "word", 0.0),
        ("same words here", "same words here", 1.0),
    ],
)
def test_rouge_l_is_the_f1_of_the_longest_common_subsequence(
    answer: str, reference: str, expected: float
) -> None:
    assert rouge_l(answer, reference) == pytest.approx(expected)


def test_chrf_is_sacrebleus_over_a_hundred() -> None:
    assert chrf("the cat sat", "the cat sat on") == pytest.approx(0.7934458487)
    assert (chrf("", "x"), chrf(" ", ""), chrf("same", "same")) == (0.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ('{"a": 1}', True),
        (" [] ", True),
        ('```json\n{"a": 1}\n```', False),
        ('{"a": 1} and more', False),
        ('{"a": NaN}', False),
        ("17", False),
        ("[" * 100_000, False),
        ("", False),
    ],
)
def test_json_is_an_object_or_array_and_nothing_else(text: str, valid: bool) -> None:
    assert (json_value(text) is not None) is valid


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('{"name": "Ada", "at": {"city": "Rome", "zip": null}, "tags": ["x", "y"]}', 1.0),
        ('{"tags": ["x", "y"], "at": {"zip": null, "city": " Rome"}, "name": "Ada"}', 1.0),
        ('{"name": "Ada", "at": {"city": "Oslo", "zip": null}, "tags": ["x", "y"]}', 4 / 5),
        ('{"name": "Ada"}', 1 / 5),
        ('{"name": "Ada", "at": "Rome"}', 1 / 6),
        ('{"name": "Ada", "at": {"city": "Rome", "zip": null}, "tags": ["x", "y"], "made": "up"}', 5 / 6),
        ('[{"name": "Ada"}]', 0.0),
        ("Ada of Rome", 0.0),
    ],
)
def test_json_fields_counts_nested_fields_by_their_path(answer: str, expected: float) -> None:
    reference = '{"name": "Ada", "at": {"city": "Rome", "zip": null}, "tags": ["x", "y"]}'

    assert json_fields(answer, reference) == pytest.approx(expected)


def test_numbers_are_equal_by_value_and_truth_is_no_number() -> None:
    assert json_fields('{"n": 1.0}', '{"n": 1}') == 1.0
    assert json_fields('{"n": true}', '{"n": 1}') == 0.0
    assert json_fields("{}", "{}") == 1.0

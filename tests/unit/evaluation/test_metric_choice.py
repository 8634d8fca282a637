import json

import pytest

from tunesmith.evaluation.metric_choice import READ_METRICS, choose_metrics, require_known, shape_of
from tunesmith.schemas.errors import InvalidArgument

LABELS = ["Yes", "no", "yes.", "No"] * 5
PROSE = [f"The answer to question {number} is not a word or two." for number in range(20)]
RECORDS = [json.dumps({"id": number}) for number in range(20)]


def lengths(texts: list[str], tokens: int = 12) -> list[int]:
    return [tokens] * len(texts)


def test_the_shape_of_the_answers_is_told_apart() -> None:
    assert shape_of(LABELS, lengths(LABELS)) == "labels"
    assert shape_of(RECORDS, lengths(RECORDS)) == "json"
    assert shape_of(PROSE, lengths(PROSE)) == "short"
    assert shape_of(PROSE, lengths(PROSE, 65)) == "long"
    assert shape_of(["yes", "no"] * 2, lengths(["yes"] * 4)) == "short"  # four rows make no classes
    assert shape_of(["yes"] * 20, lengths(["yes"] * 20)) == "short"  # and one class is nothing to tell apart
    assert shape_of(["42", "17"] * 10, lengths(["42"] * 20)) == "labels"  # JSON numbers have no fields


@pytest.mark.parametrize(
    ("references", "tokens", "written"),
    [
        (LABELS, 2, ["accuracy", "macro_f1"]),
        (RECORDS, 9, ["exact_match", "json_valid", "json_fields"]),
        (PROSE, 12, ["exact_match", "token_f1"]),
        (PROSE, 100, ["rouge_l", "chrf"]),
    ],
)
def test_without_a_name_the_shape_decides_and_the_reason_is_told(
    references: list[str], tokens: int, written: list[str]
) -> None:
    choice = choose_metrics([], references, lengths(references, tokens))

    assert choice.metrics == (*READ_METRICS, *written, "answer_tokens", "stopped")
    assert choice.written == (*written, "answer_tokens", "stopped")
    assert "20 answers are" in choice.because and all(name in choice.because for name in written[-2:])


def test_long_texts_are_only_read_when_writing_them_takes_long() -> None:
    choice = choose_metrics([], PROSE, lengths(PROSE, 1000))

    assert choice.metrics == READ_METRICS
    assert "name rouge_l and chrf" in choice.because and "20000 tokens" in choice.because


def test_named_metrics_come_in_a_fixed_order_and_patterns_last() -> None:
    choice = choose_metrics(["regex:a", "chrf", "loss", "regex:a"], PROSE, lengths(PROSE))

    assert choice.metrics == ("loss", "chrf", "regex:a")


@pytest.mark.parametrize(
    ("wanted", "references", "instead"),
    [
        (["json_fields", "loss"], PROSE, '["loss"]'),
        (["accuracy"], PROSE, '["exact_match", "token_f1"]'),
        (["macro_f1", "json_valid"], RECORDS, '["json_valid"]'),
        (["json_valid"], LABELS, '["accuracy", "macro_f1"]'),
    ],
)
def test_a_metric_that_does_not_fit_is_refused_with_what_to_call_instead(
    wanted: list[str], references: list[str], instead: str
) -> None:
    with pytest.raises(InvalidArgument) as refused:
        choose_metrics(wanted, references, lengths(references))

    assert "cannot be scored here" in refused.value.message and "20 answers are" in refused.value.message
    assert f"metrics={instead}" in refused.value.recovery


def test_an_unknown_metric_is_refused_by_name_with_those_there_are() -> None:
    with pytest.raises(InvalidArgument) as refused:
        require_known(["loss", "bleu"])

    assert "bleu" in refused.value.message
    assert "loss, perplexity, bits_per_byte, token_accuracy, exact_match" in refused.value.recovery


@pytest.mark.parametrize("pattern", ["", "[", "(?=a)b", "x" * 501, "((((((a{99}){99}){99}){99}){99}){99})"])
def test_a_pattern_that_cannot_be_searched_for_safely_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidArgument):
        require_known([f"regex:{pattern}"])

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest

from tests.unit.data.shaping.shaped import alone, layouts, reason, shaped
from tunesmith.data.reading.source_row import JsonNumber, SourceRow
from tunesmith.data.shaping.texts import Unfit

PAIR = layouts({"prompt": "x", "completion": "y"})


@pytest.mark.parametrize(
    ("value", "text", "notes"),
    [
        ("  as it is\n", "  as it is\n", ()),
        (7, "7", ("wrong_type",)),
        (JsonNumber("1.50"), "1.50", ("wrong_type",)),
        (True, "true", ("wrong_type",)),
        (Decimal("1.50"), "1.50", ("wrong_type",)),
        (datetime.date(2024, 2, 29), "2024-02-29", ()),
        ("half \ud83d a pair", "half \ufffd a pair", ("lone_surrogate",)),
        ("the end<|endoftext|>", "the end<|endoftext|>", ("control_tokens",)),
        ("Assistant: sure", "Assistant: sure", ("role_prefix",)),
    ],
)
def test_values_become_text_and_what_is_odd_is_remarked_on(
    value: object, text: str, notes: tuple[str, ...]
) -> None:
    row = shaped(PAIR, prompt="x", completion=value)
    assert (row.completion, row.notes) == (text, notes)
    assert type(row.completion) is str


def test_numbers_in_a_column_of_numbers_are_not_odd() -> None:
    assert alone(question="1+1?", answer=2).notes == ()


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "missing_field"),
        (float("nan"), "missing_field"),
        ("", "empty"),
        (" \n\t", "empty"),
        (["a"], "not_text"),
        ({"a": 1}, "not_text"),
        (b"bytes", "not_text"),
        ("nul \0", "invalid_text"),
    ],
)
def test_a_value_that_cannot_be_used_says_why(value: object, why: str) -> None:
    assert reason(PAIR, prompt="x", completion=value) == why
    assert reason(PAIR, prompt=value, completion="x") == why


def test_a_row_that_could_not_be_read_keeps_its_reason() -> None:
    with pytest.raises(Unfit, match="invalid_json"):
        PAIR.convert(SourceRow(1, problem="invalid_json"))


def test_remarks_of_the_reader_stay_with_the_row() -> None:
    row = PAIR.convert(SourceRow(4, {"prompt": "x", "completion": 7}, notes=("duplicate_key",)))
    assert (row.number, row.notes) == (4, ("duplicate_key", "wrong_type"))


def test_other_scalar_columns_are_kept_short_and_storable() -> None:
    values = {
        "topic": "t" * 500,
        "n": 3,
        "score": JsonNumber("1.50"),
        "ok": False,
        "none": None,
        "nested": [1],
    }
    row = alone(prompt="x", completion="y", bad="\ud800", **values)
    assert row.extras == {"topic": "t" * 200, "n": "3", "score": "1.50", "ok": "false", "bad": "?"}

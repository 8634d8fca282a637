"""Blocks of rows in which nothing is odd are read to the same as row by row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.data.shaping.shaped import layouts
from tunesmith.data.reading.source_row import JsonNumber, SourceBlock
from tunesmith.data.rows import rows_of
from tunesmith.data.shaping.layouts import Layouts
from tunesmith.data.shaping.texts import Unfit

ALPACA = {
    "instruction": "Add.",
    "input": "1 2",
    "output": "3",
    "id": 7,
    "score": JsonNumber("1.50"),
    "by": "me",
}
QUESTION = {"question": "How many?", "answer": "Three."}
PAIR = {"prompt": "Once", "completion": " upon"}
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["User: hi", "Assistant: yes", " User: hi", "<|im_end|>", "a </s>", "<s>x</s>", "<s>", "</s>",
         "[INST]", "a<b", "x[1]", "\0",
         "\u3000", "", " ", "\ud800", "A", "ü", "# Response: x", "### Response: x", "\u2028", "\x1c"]
    ),
)  # fmt: skip
VALUES = st.one_of(
    st.none(), st.integers(), st.booleans(), TEXTS, st.just(JsonNumber("0." + "1" * 300)), st.just([1]),
    st.just({"a": 1}), st.just(10**250), st.floats(allow_nan=True), st.just("z" * 300),
)  # fmt: skip


def one_by_one(layout: Layouts, block: SourceBlock) -> list[Any]:
    rows = []
    for row in block.rows():
        try:
            rows.append(layout.convert(row))
        except Unfit as unfit:
            rows.append(unfit.reason)
    return rows


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from([ALPACA, QUESTION, PAIR]),
    st.lists(st.tuples(st.integers(0, 5), st.one_of(TEXTS, TEXTS, VALUES)), max_size=3),
    st.sampled_from(["", "extra", "missing"]),
)
def test_a_block_gives_what_its_rows_give_or_nothing(
    shape: dict[str, Any], changes: list[tuple[int, Any]], columns: str
) -> None:
    layout = layouts(*[shape] * 5)
    rows = [dict(shape) for _ in range(4)]
    for number, (column, value) in enumerate(changes):
        rows[number][list(shape)[column % len(shape)]] = value
    if columns == "extra":
        rows[3]["more"] = "x"
    elif columns == "missing":
        rows[3].pop(next(iter(shape)))
    block = SourceBlock(5, rows)
    table = layout.convert_block(block)
    if table is not None:
        expected = one_by_one(layouts(*[shape] * 5), block)
        assert list(rows_of(table.table)) == expected
        assert table.digests == [row.digest() for row in expected]
        assert layout.shapes == {next(iter(layout.shapes)): 4}


@pytest.mark.parametrize("shape", [ALPACA, QUESTION, PAIR])
@pytest.mark.parametrize("text", ["a < b", "[1] ü", "Ask me", " indented", "Grün", "<b>x</b>", "日本"])
def test_usual_rows_are_read_at_once(shape: dict[str, Any], text: str) -> None:
    changed = {column: text if type(value) is str else value for column, value in shape.items()}
    assert layouts(*[shape] * 5).convert_block(SourceBlock(1, [shape, changed, shape])) is not None


@pytest.mark.parametrize("odd", ["User: hi", "<|im_end|>", "\0", " ", "", "\ud800", 7, None, ["x"]])
def test_a_row_to_be_looked_at_on_its_own_holds_back_its_block(odd: Any) -> None:
    rows = [ALPACA, {**ALPACA, "instruction": odd}, ALPACA]
    assert layouts(*[ALPACA] * 5).convert_block(SourceBlock(1, rows)) is None


@pytest.mark.parametrize("changed", [{"instruction": "<s>x</s>"}, {"instruction": "<s>", "input": "</s>"}])
def test_control_tokens_are_looked_for_in_each_cell_and_not_in_the_prompt_around_them(
    changed: dict[str, str],
) -> None:
    rows = [ALPACA, {**ALPACA, **changed}, ALPACA]
    assert layouts(*[ALPACA] * 5).convert_block(SourceBlock(1, rows)) is None


@pytest.mark.parametrize("odd", [0, False, [], {}, 1.5])
def test_an_input_that_is_no_text_is_looked_at_on_its_own(odd: Any) -> None:
    assert layouts(*[ALPACA] * 5).convert_block(SourceBlock(1, [ALPACA, {**ALPACA, "input": odd}])) is None


def test_rows_that_are_to_become_conversations_are_not_read_at_once() -> None:
    layout = replace(layouts(*[ALPACA] * 5), as_messages=True)
    assert layout.convert_block(SourceBlock(1, [ALPACA])) is None

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.data.reading.reading import problems, read, values, written
from tunesmith.data.reading import json_scanner
from tunesmith.schemas.errors import UnreadableSource

ROWS = [{"p": "x [", "n": 1}, {"p": 'y "}', "n": 2}]


@pytest.mark.parametrize(
    "document",
    [
        ROWS,
        {"data": ROWS},
        {"version": "1", "tags": ["a"], "rows": ROWS, "count": 2},
        {"result": {"took": 3, "rows": ROWS}},
        {"train": ROWS, "test": ROWS[:1]},
        {"p": ["x [", 'y "}'], "n": [1, 2]},
        {"p": {"0": "x [", "1": 'y "}'}, "n": {"0": 1, "1": 2}},
        {"0": ROWS[0], "1": ROWS[1]},
        {"columns": ["p", "n"], "index": [0, 1], "data": [["x [", 1], ['y "}', 2]]},
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
def test_arrays_wrapped_arrays_and_columns_hold_the_same_rows(
    tmp_path: Path, document: object, indent: int | None
) -> None:
    assert values(read(written(tmp_path / "a.json", json.dumps(document, indent=indent)))) == ROWS


@pytest.mark.parametrize("between", ["", " ", "\n", ",", ",\n", "\n\n"])
@pytest.mark.parametrize("indent", [None, 2])
def test_objects_one_behind_the_other_are_rows(tmp_path: Path, between: str, indent: int | None) -> None:
    text = between.join(json.dumps(row, indent=indent) for row in ROWS * 2)
    assert values(read(written(tmp_path / "a.json", text))) == ROWS * 2


def test_one_conversation_is_one_row_and_not_one_per_turn(tmp_path: Path) -> None:
    conversation = {
        "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
        "tools": [{"name": "f"}],
    }
    assert values(read(written(tmp_path / "a.json", json.dumps(conversation)))) == [conversation]


def test_several_arrays_of_rows_are_not_guessed_between(tmp_path: Path) -> None:
    path = written(tmp_path / "a.json", json.dumps({"good": ROWS, "bad": ROWS}))
    with pytest.raises(UnreadableSource, match=r"'good', 'bad'"):
        read(path)
    path = written(tmp_path / "b.json", json.dumps({"train": ROWS, "test": ROWS[:1]}))
    assert values(read(path, split="test")) == ROWS[:1]


def test_columns_of_different_lengths_are_told(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource, match="from 1 to 2 values"):
        read(written(tmp_path / "a.json", '{"a": [1, 2], "b": ["x"]}'))


@pytest.mark.parametrize("wrapper", ["%s", '{"meta": 1, "data": %s'])
def test_an_array_that_is_cut_gives_its_sound_rows_and_where_it_breaks(tmp_path: Path, wrapper: str) -> None:
    whole = json.dumps(ROWS * 3)
    for cut, sound in [(len(whole) - 8, 5), (len(whole) - 1, 6)]:
        rows = read(written(tmp_path / "a.json", wrapper % whole[:cut]))
        assert values(rows) == (ROWS * 3)[:sound]
        assert problems(rows) == [(sound + 1, "invalid_json")]


@pytest.mark.parametrize(
    "broken",
    ['{"p": "he said "no"", "n": 1}', '{"p": "he "said", "n": 1}', '{"p": "x", "n": }', '{"p": "x", "n": 1'],
)
def test_a_broken_element_costs_no_other(tmp_path: Path, broken: str) -> None:
    pieces = [json.dumps(row) for row in ROWS * 3]
    pieces.insert(3, broken)
    rows = read(written(tmp_path / "a.json", f"[{', '.join(pieces)}]"))
    assert values(rows) == ROWS * 3
    assert {problem for _, problem in problems(rows)} == {"invalid_json"}
    assert problems(rows)[0][0] == 4


def test_an_element_beyond_the_limit_is_passed_over(tmp_path: Path) -> None:
    huge = json.dumps({"p": "x" * 9_000_000 + '\\"' + "y" * 9_000_000, "n": 0})
    many = json.dumps({"p": ["x" * 1_000] * 20_000, "n": 0})
    rows = read(written(tmp_path / "a.json", f"[{json.dumps(ROWS[0])},{huge},{many},{json.dumps(ROWS[1])}]"))
    assert problems(rows) == [(2, "row_too_large"), (3, "row_too_large")]
    assert values(rows) == ROWS


@pytest.mark.parametrize("text", ["[1, 2]", '["a"]', "[" * 100_000, '{"a": [[[[', "[}]"])
def test_json_without_rows_gives_problems_or_an_error(tmp_path: Path, text: str) -> None:
    try:
        rows = read(written(tmp_path / "a.json", text))
    except UnreadableSource as error:
        assert "a.json" in error.message
    else:
        assert values(rows) == []


ROW = st.dictionaries(
    st.text(max_size=6),
    st.integers() | st.text(max_size=30) | st.lists(st.text(max_size=5), max_size=3),
    max_size=4,
)


@settings(deadline=None, max_examples=60)
@given(st.lists(ROW, min_size=2, max_size=12), st.sampled_from([None, 1]), st.integers(8, 40))
def test_where_blocks_end_makes_no_difference(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], indent: int | None, block: int
) -> None:
    path = written(tmp_path_factory.getbasetemp() / "blocks.json", json.dumps(rows, indent=indent))
    before, json_scanner.BLOCK_BYTES = json_scanner.BLOCK_BYTES, block
    try:
        assert values(read(path)) == rows
    finally:
        json_scanner.BLOCK_BYTES = before

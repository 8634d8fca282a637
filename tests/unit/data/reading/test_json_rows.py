from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.data.reading.reading import problems, read, values, written
from tunesmith.data.reading.json_values import json_row
from tunesmith.data.reading.lines import read_json_lines
from tunesmith.data.reading.meter import Meter
from tunesmith.data.reading.source_row import JsonNumber, SourceRow


def lines(content: bytes) -> list[SourceRow]:
    return list(read_json_lines(io.BytesIO(content), Meter()))


def test_broken_lines_are_told_by_line_number() -> None:
    rows = lines(b'{"a": "1"}\n\n{"a": \n[1]\n' + b"[" * 100_000 + b'\n{"a": "2"}')
    assert problems(rows) == [(3, "invalid_json"), (4, "not_an_object"), (5, "invalid_json")]
    assert [row.number for row in rows if row.problem is None] == [1, 6]


@pytest.mark.parametrize(
    "line",
    [
        b"{'a': 'x'}",
        b'{"a": 1,}',
        b'{"a": 1',
        b"not json",
        b'{"a": 1} {"a": 2}',
        b'{"a": "say "no" to"}',
        b'"text"x',
    ],
)
def test_what_is_no_single_object_is_a_broken_line(line: bytes) -> None:
    assert problems(lines(b'{"a": 0}\n' + line + b"\n")) == [(2, "invalid_json")]


def test_numbers_keep_their_spelling_and_nan_is_null() -> None:
    (row,) = lines(b'{"a": 1.10, "b": 12345678901234567890123, "c": 1e400, "e": true, "f": -0.0, "g": 7}')
    assert row.values == {
        "a": "1.10",
        "b": 12345678901234567890123,
        "c": "1e400",
        "e": True,
        "f": "-0.0",
        "g": 7,
    }
    assert isinstance(row.values["a"], JsonNumber)
    (row,) = lines(b'{"a": NaN, "b": [-Infinity, 2.50], "c": "NaN"}')
    assert row.values == {"a": None, "b": [None, "2.50"], "c": "NaN"}
    assert isinstance(row.values["b"][1], JsonNumber)


def test_a_number_of_ten_thousand_digits_keeps_them() -> None:
    assert json_row(1, b'{"a": ' + b"9" * 10_000 + b"}").values == {"a": "9" * 10_000}


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'{"a" : 1, "a" : 2}', {"a": 2}),
        (b'{"m": [{"a": 1, "a": 2}]}', {"m": [{"a": 2}]}),
        (b'{"a": "he wrote \\"a\\": 1", "a": "x"}', {"a": "x"}),
    ],
)
def test_a_key_named_twice_is_remarked_on_and_its_last_value_counts(
    line: bytes, value: dict[str, Any]
) -> None:
    (row,) = lines(line)
    assert (row.values, row.notes) == (value, ("duplicate_key",))


@pytest.mark.parametrize(
    "line", [b'{"a": "\\"a\\": 1, \\"a\\": 2"}', b'{"a\\\\": 1, "b" : 2}', b'{"a": {"a": {}}}']
)
def test_keys_within_strings_or_other_objects_are_not_named_twice(line: bytes) -> None:
    assert lines(line)[0].notes == ()


def test_lone_surrogates_become_replacement_characters_and_are_remarked_on() -> None:
    (row,) = lines(b'{"a": "x\\ud83d", "b": "\\ud83d\\ude00 \\\\ud83d"}')
    assert row.values == {"a": "x\ufffd", "b": "\U0001f600 \\ud83d"}
    assert row.notes == ("lone_surrogate",)


def test_deep_nesting_neither_crashes_nor_is_walked_into_the_ground() -> None:
    for levels, problem in [(300, None), (900, "invalid_json"), (50_000, "invalid_json")]:
        (row,) = lines(b'{"a": "x", "b": ' + b"[" * levels + b"]" * levels + b"}")
        assert row.problem == problem, levels


def test_large_rows_are_read_and_larger_ones_passed_over() -> None:
    content = b'{"a": "' + b"x" * 5_000_000 + b'"}\n{"a": "' + b"x" * 40_000_000 + b'"}\n{"a": "y"}'
    rows = lines(content)
    assert [(row.number, row.problem) for row in rows] == [(1, None), (2, "row_too_large"), (3, None)]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_lines_end_in_any_way(tmp_path: Path, end: bytes) -> None:
    rows = read(written(tmp_path / "a.jsonl", end.join([b'{"a": 1}', b"", b"{", b'{"a": 2}', b'{"a": 3}'])))
    assert [row.values.get("a") for row in rows] == [1, None, 2, 3]
    assert problems(rows) == [(3, "invalid_json")]


def test_line_ends_may_be_mixed() -> None:
    rows = lines(b'{"a": 1}\r{"a": 2}\n{"a": 3}\r\n{"a": 4}')
    assert [(row.number, row.values["a"]) for row in rows] == [(1, 1), (2, 2), (3, 3), (4, 4)]


def test_lines_of_python_are_read_as_literals_and_remarked_on(tmp_path: Path) -> None:
    rows = [{"a": "it's", "b": 1.5, "c": None}, {"a": 'say "x"', "b": (1, 2), "c": True}]
    text = "".join(f"{row}\n" for row in rows) + "{'a': open('x')}\n"
    found = read(written(tmp_path / "a.jsonl", text))
    assert values(found) == [{"a": "it's", "b": "1.5", "c": None}, {"a": 'say "x"', "b": [1, 2], "c": True}]
    assert found[0].notes == ("python_repr",)
    assert problems(found) == [(3, "invalid_json")]


def test_conversations_a_line_are_rows(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    found = read(written(tmp_path / "a.jsonl", f"{json.dumps(turns)}\n" * 2))
    assert values(found) == [{"messages": turns}] * 2


@settings(deadline=None)
@given(
    st.dictionaries(
        st.text(max_size=8),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: (
                st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
            ),
            max_leaves=12,
        ),
        max_size=5,
    ),
    st.booleans(),
)
def test_json_values_come_back_as_they_were(value: dict[str, Any], ascii_only: bool) -> None:
    row = json_row(1, json.dumps(value, ensure_ascii=ascii_only).encode())
    assert (row.problem, row.values, row.notes) == (None, value, ())


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_at_all_give_rows_or_problems(content: bytes) -> None:
    for row in lines(content):
        assert row.problem in (None, "invalid_json", "invalid_encoding", "not_an_object")

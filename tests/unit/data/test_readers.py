from __future__ import annotations

import io
import json

import pytest

from tunesmith.data.readers import SourceRow, read_delimited, read_json, read_jsonl
from tunesmith.schemas.errors import UnreadableSource


def delimited(text: str) -> list[SourceRow]:
    return list(read_delimited(io.StringIO(text, newline=""), ",", "file.csv"))


def values(rows: list[SourceRow]) -> list[dict[str, str]]:
    return [row.values for row in rows if row.problem is None]


def problems(rows: list[SourceRow]) -> list[tuple[int, str]]:
    return [(row.number, row.problem) for row in rows if row.problem is not None]


def test_csv_cells_stay_the_text_they_are() -> None:
    rows = delimited("id,value,note\n007,1.50,NA\n1e5,true, padded \n")
    assert values(rows) == [
        {"id": "007", "value": "1.50", "note": "NA"},
        {"id": "1e5", "value": "true", "note": " padded "},
    ]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_splits_the_header(mark: str) -> None:
    assert values(delimited(f"prompt{mark}completion\na{mark}b\n")) == [{"prompt": "a", "completion": "b"}]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_ending_is_understood_and_kept_within_quotes(end: str) -> None:
    rows = delimited(f'a,b{end}1,"x{end}y"{end}{end}2,z{end}')
    assert values(rows) == [{"a": "1", "b": f"x{end}y"}, {"a": "2", "b": "z"}]


def test_ragged_rows_are_told_by_number_and_the_others_read() -> None:
    rows = delimited("a,b\n1,2\n1\n1,2,3\n3,4\n")
    assert values(rows) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    assert problems(rows) == [(2, "wrong_column_count"), (3, "wrong_column_count")]


def test_an_unclosed_quote_costs_one_row_and_not_the_rest_of_the_file() -> None:
    rows = delimited('a,b\n1,"never closed\n2,y\n3,z\n')
    assert problems(rows) == [(1, "stray_quote")]
    assert [row["a"] for row in values(rows)] == ["2", "3"]


def test_text_after_a_closing_quote_is_not_silently_glued() -> None:
    assert problems(delimited('a,b\n1,"x"y\n2,z\n')) == [(1, "stray_quote")]


def test_unnamed_and_repeated_columns_get_names_and_lose_nothing() -> None:
    assert values(delimited("a,a,\n1,2,3\n")) == [{"a": "1", "a_2": "2", "column_3": "3"}]


def test_nul_characters_do_not_stop_a_csv() -> None:
    assert values(delimited("a,b\nx\0y,1\nz,2\n"))[1] == {"a": "z", "b": "2"}


def test_broken_json_lines_are_told_by_line_number() -> None:
    rows = list(read_jsonl(['{"a": "1"}\n', "\n", '{"a": \n', "[1]\n", "[" * 100_000, '{"a": "2"}']))
    assert problems(rows) == [(3, "invalid_json"), (4, "not_an_object"), (5, "invalid_json")]
    assert [row.number for row in rows if row.problem is None] == [1, 6]


def test_json_numbers_keep_their_spelling_and_nan_is_null() -> None:
    line = '{"a": 1.10, "b": 12345678901234567890123, "c": NaN, "d": -Infinity, "e": true}'
    (row,) = read_jsonl([line])
    assert row.values == {"a": "1.10", "b": "12345678901234567890123", "c": None, "d": None, "e": True}


@pytest.mark.parametrize(
    "document",
    [
        [{"p": "x"}, {"p": "y"}],
        {"data": [{"p": "x"}, {"p": "y"}]},
        {"version": "1", "rows": [{"p": "x"}, {"p": "y"}]},
        {"p": ["x", "y"]},
    ],
)
def test_arrays_wrapped_arrays_and_columns_hold_the_same_rows(document: object) -> None:
    assert values(list(read_json(json.dumps(document), "file.json"))) == [{"p": "x"}, {"p": "y"}]


def test_one_conversation_is_one_row_and_not_one_per_turn() -> None:
    conversation = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    assert values(list(read_json(json.dumps(conversation), "file.json"))) == [conversation]


@pytest.mark.parametrize("text", ['[{"a": 1}, {"a": ', "3", "[" * 100_000, '"text"'])
def test_a_json_document_without_rows_is_told_without_quoting_it(text: str) -> None:
    with pytest.raises(UnreadableSource, match=r"file\.json"):
        list(read_json(text, "file.json"))


def test_a_header_that_comes_again_is_no_row() -> None:
    rows = delimited("a,b\n1,2\na,b\n3,4\n")
    assert problems(rows) == [(2, "repeated_header")]
    assert [row["a"] for row in values(rows)] == ["1", "3"]

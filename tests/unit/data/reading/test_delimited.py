from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.data.reading.reading import problems, read, values, written
from tunesmith.data.reading.delimited import read_delimited
from tunesmith.data.reading.dialects import Table, find_table
from tunesmith.data.reading.records import Dialect
from tunesmith.data.reading.source_row import SourceRow


def delimited(text: str, named_as_table: bool = True) -> list[SourceRow]:
    table = find_table(text, named_as_table)
    assert table is not None
    return list(read_delimited(io.StringIO(text, newline=""), table))


def test_cells_stay_the_text_they_are() -> None:
    rows = delimited("id,value,note\n007,1.50,NA\n1e5,true, padded \n=1+1,None,-\n")
    assert values(rows) == [
        {"id": "007", "value": "1.50", "note": "NA"},
        {"id": "1e5", "value": "true", "note": " padded "},
        {"id": "=1+1", "value": "None", "note": "-"},
    ]


@pytest.mark.parametrize("mark", [",", ";", "\t", "|", "^", "~", "\x01", "\x1f", "¦", "§"])
def test_the_delimiter_is_the_one_that_all_records_agree_on(mark: str) -> None:
    rows = [{"prompt": "a, b; c", "completion": "x"}, {"prompt": "d", "completion": "y, z"}]
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, list(rows[0]), delimiter=mark)
    writer.writeheader()
    writer.writerows(rows)
    assert values(delimited(file.getvalue(), named_as_table=False)) == rows


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_ending_is_understood_and_kept_within_quotes(end: str) -> None:
    rows = delimited(f'a,b{end}1,"x{end}y"{end}{end}2,z{end}')
    assert values(rows) == [{"a": "1", "b": f"x{end}y"}, {"a": "2", "b": "z"}]


def test_line_endings_may_be_mixed() -> None:
    assert [row["a"] for row in values(delimited("a,b\r\n1,x\n2,y\r3,z"))] == ["1", "2", "3"]


def test_ragged_rows_are_told_by_number_and_the_others_read() -> None:
    rows = delimited("a,b\n1,2\n1\n1,2,3\n3,4\n")
    assert values(rows) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
    assert problems(rows) == [(2, "wrong_column_count"), (3, "wrong_column_count")]


def test_empty_cells_behind_the_last_column_do_no_harm() -> None:
    assert values(delimited("a,b\n1,2,,\n3,4\n5,6\n")) == [
        {"a": "1", "b": "2"},
        {"a": "3", "b": "4"},
        {"a": "5", "b": "6"},
    ]


def test_an_unclosed_quote_costs_one_row_and_not_the_rest_of_the_file() -> None:
    rows = delimited('a,b\n1,"never closed\n2,y\n3,z\n')
    assert problems(rows) == [(1, "stray_quote")]
    assert [row["a"] for row in values(rows)] == ["2", "3"]


def test_an_unclosed_quote_that_the_next_quoted_cell_closes_costs_one_row() -> None:
    rows = delimited('a,b,c\n0,"x, y",z\n1,"never closed,z\n2,y,z\n3,w," quoted",\n4,"u, v",t\n')
    assert (1, "stray_quote") not in problems(rows)
    assert [row["a"] for row in values(rows)] == ["0", "2", "3", "4"]


def test_what_is_left_of_a_spoilt_record_is_not_taken_for_a_row() -> None:
    rows = delimited('a,b\n1,"He said "no" and\nleft, later"\n2,y\n')
    assert [row["a"] for row in values(rows)] == ["2"]
    assert [number for number, _ in problems(rows)] == [1, 2]


def test_quotes_escaped_by_backslashes_are_quotes_and_other_backslashes_text() -> None:
    text = 'a,b\n1,"say \\"hi\\", then C:\\new"\n2,"ends in \\\\"\n3,"\\""\n'
    assert [row["b"] for row in values(delimited(text))] == ['say "hi", then C:\\new', "ends in \\", '"']


def test_blanks_before_quotes_are_no_part_of_the_cell() -> None:
    assert values(delimited('a, b\n1, "x, y"\n2, "z, w"\n')) == [
        {"a": "1", "b": "x, y"},
        {"a": "2", "b": "z, w"},
    ]


def test_quotes_that_quote_nothing_in_the_whole_file_are_text() -> None:
    text = "a\tb\n" + "".join(f'{number}\t"Hello" he said\n' for number in range(5))
    assert {row["b"] for row in values(delimited(text))} == {'"Hello" he said'}


def test_names_of_columns_are_made_usable_and_nothing_is_lost() -> None:
    assert values(delimited('a,a, B ,"c\nd",\n1,2,3,4,5\n')) == [
        {"a": "1", "a_2": "2", "B": "3", "c d": "4", "column_5": "5"}
    ]


def test_a_header_that_comes_again_is_no_row() -> None:
    rows = delimited("a,b\n1,2\na,b\n3,4\n")
    assert problems(rows) == [(2, "repeated_header")]
    assert [row["a"] for row in values(rows)] == ["1", "3"]


@pytest.mark.parametrize(
    "text",
    [
        "Where do whales sleep?,They rest near the surface.\nWhy is glass clear?,It lets light through.\n",
        "I lost my card,card_lost\nMy card is gone,card_lost\nWhat is the rate,exchange_rate\n",
        "17,A short line\n18,Another one\n",
    ],
)
def test_a_first_record_that_is_data_is_kept_as_a_row(text: str) -> None:
    rows = delimited(text)
    assert len(values(rows)) == text.count("\n")
    assert list(rows[0].values) == ["column_1", "column_2"]


@pytest.mark.parametrize(
    "header", ["Frage,Antwort", "q,a", "user_text,bot_text", "text,label", "Id no.,Wert (EUR)"]
)
def test_a_first_record_of_names_is_the_header(header: str) -> None:
    rows = delimited(f"{header}\nWhere do whales sleep at night?,They rest near the surface of the sea.\n")
    assert list(rows[0].values) == header.split(",")


def test_a_title_above_the_header_is_no_header() -> None:
    rows = delimited("Export of May\n\nprompt,completion\na,b\nc,d\n")
    assert problems(rows) == [(1, "wrong_column_count")]
    assert values(rows) == [{"prompt": "a", "completion": "b"}, {"prompt": "c", "completion": "d"}]


def test_a_column_alone_is_a_table_where_the_name_says_so(tmp_path: Path) -> None:
    rows = read(written(tmp_path / "a.csv", 'text\nOne line.\n"Two, with a comma."\n'))
    assert values(rows) == [{"text": "One line."}, {"text": "Two, with a comma."}]


def test_nul_characters_do_not_stop_a_table() -> None:
    assert values(delimited("a,b\nx\0y,1\nz,2\n"))[1] == {"a": "z", "b": "2"}


def test_a_line_without_end_is_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "a,b\n1,2\n" + "x" * 17_000_000 + "\n3,4\n")
    rows = read(path)
    assert problems(rows) == [(2, "row_too_large")]
    assert [row["a"] for row in values(rows)] == ["1", "3"]


TABLES = st.integers(2, 5).flatmap(
    lambda width: st.lists(
        st.lists(
            st.text(
                st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20
            ),
            min_size=width,
            max_size=width,
        ).filter(lambda cells: any(cell.strip() for cell in cells)),
        min_size=1,
        max_size=8,
    )
)


@settings(deadline=None)
@given(TABLES, st.sampled_from(",;\t|"), st.booleans(), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_what_the_csv_module_writes_reads_back_equal(
    cells: list[list[str]], mark: str, quote_all: bool, end: str, escapes: bool
) -> None:
    file = io.StringIO(newline="")
    escaping = {"doublequote": False, "escapechar": "\\"} if escapes else {}
    # Some versions of the module write line ends bare that are not the file's own.
    quote_all = quote_all or escapes or any("\r" in cell or "\n" in cell for row in cells for cell in row)
    quoting = csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL
    csv.writer(file, delimiter=mark, lineterminator=end, quoting=quoting, **escaping).writerows(cells)
    table = Table(Dialect(mark, escapes=escapes), len(cells[0]), has_header=False)
    rows = read_delimited(io.StringIO(file.getvalue(), newline=""), table)
    assert [list(row.values.values()) for row in rows] == cells


@settings(deadline=None)
@given(st.text(max_size=400))
def test_any_text_at_all_gives_rows_that_use_up_its_lines(text: str) -> None:
    table = find_table(text, named_as_table=True)
    if table is not None:
        rows = list(read_delimited(io.StringIO(text, newline=""), table))
        assert [row.number for row in rows] == list(range(1, len(rows) + 1))


def test_a_header_of_a_hundred_thousand_equal_names_takes_no_time() -> None:
    rows = delimited("a" + ",a" * 99_999 + "\n" + "1" + ",1" * 99_999 + "\n")
    assert len(rows[0].values) == 100_000


def test_apostrophes_quote_where_no_other_mark_does() -> None:
    assert values(delimited("'a','b'\n'1, 2','it''s'\n'3','4'\n")) == [
        {"a": "1, 2", "b": "it's"},
        {"a": "3", "b": "4"},
    ]

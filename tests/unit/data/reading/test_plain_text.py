from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.data.reading.reading import problems, read, values, written
from tunesmith.schemas.errors import UnreadableSource

PROSE = "Well, said the fox.\nI never, ever, met a hen\nso clever.\n"


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a"])
def test_lines_are_rows_where_no_blank_lines_stand_between(tmp_path: Path, name: str) -> None:
    assert [row["text"] for row in values(read(written(tmp_path / name, PROSE)))] == PROSE.splitlines()


def test_paragraphs_are_rows_where_blank_lines_stand_between(tmp_path: Path) -> None:
    rows = values(read(written(tmp_path / "a.txt", f"\n{PROSE}\n \r\nThe end.\r\nReally.\r\n")))
    assert rows == [{"text": PROSE.rstrip()}, {"text": "The end.\r\nReally."}]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.parquet"])
def test_prose_is_not_taken_for_damaged_data(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnreadableSource, match="plain text"):
        read(written(tmp_path / name, PROSE))


def test_bytes_that_are_no_text_spoil_their_line_alone(tmp_path: Path) -> None:
    rows = read(written(tmp_path / "a.txt", "où ça\n".encode() * 9 + b"caf\xe9\nend\n"))
    assert problems(rows) == [(10, "invalid_encoding")]
    assert len(values(rows)) == 10


@pytest.mark.parametrize(
    "text",
    [
        "Roses are red, violets are blue\nSugar is sweet, and so are you\n",
        "Name: Anna\nAge: seven\n",
        "1. Take the pan; heat it\n2. Add the eggs; stir\n",
    ],
)
def test_sentences_with_the_same_marks_are_no_table(tmp_path: Path, text: str) -> None:
    assert [row["text"] for row in values(read(written(tmp_path / "a.txt", text)))] == text.splitlines()

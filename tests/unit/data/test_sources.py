from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.data.inputs import request_for, write_jsonl
from tunesmith.data.readers import SourceRow
from tunesmith.data.sources import Meter, open_source
from tunesmith.schemas.errors import InvalidArgument, NoRows, SourceNotFound, UnreadableSource, UnsafePath

ROWS = [{"prompt": "one", "completion": "1"}, {"prompt": "zwei ü", "completion": "2"}]
CSV = "prompt,completion\none,1\nzwei ü,2\n"


def read(path: Path, **arguments: Any) -> list[SourceRow]:
    return list(open_source(request_for(path, **arguments), Meter()).rows)


def values(path: Path, **arguments: Any) -> list[dict[str, Any]]:
    return [row.values for row in read(path, **arguments) if row.problem is None]


def parquet(path: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(ROWS), path)
    return path


def test_every_kind_of_file_gives_the_same_rows(tmp_path: Path) -> None:
    contents = {
        "a.csv": CSV,
        "a.tsv": CSV.replace(",", "\t"),
        "a.json": json.dumps(ROWS, indent=1),
        "a.jsonl": "".join(json.dumps(row) + "\n" for row in ROWS),
    }
    for name, text in contents.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert values(tmp_path / name) == ROWS, name
    assert values(parquet(tmp_path / "a.parquet")) == ROWS


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.parquet"])
@pytest.mark.parametrize("content", ["parquet", "array", "pretty array", "lines", "csv"])
def test_a_file_is_read_as_what_it_is_whatever_its_name(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    if content == "parquet":
        parquet(path)
    else:
        text = {
            "array": json.dumps(ROWS),
            "pretty array": json.dumps(ROWS, indent=2),
            "lines": "\n\n".join(json.dumps(row) for row in ROWS),
            "csv": CSV,
        }[content]
        path.write_text(text, encoding="utf-8")
    assert values(path) == ROWS


def test_a_pretty_printed_wrapper_named_jsonl_is_one_document(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"data": ROWS}, indent=1), encoding="utf-8")
    assert values(tmp_path / "a.jsonl") == ROWS


def test_a_first_line_longer_than_what_is_sniffed_is_still_a_line(tmp_path: Path) -> None:
    long = {"prompt": "x" * 200_000, "completion": "y"}
    (tmp_path / "a.json").write_text("\n".join(json.dumps(row) for row in [long, *ROWS]))
    assert values(tmp_path / "a.json") == [long, *ROWS]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json"])
def test_byte_order_marks_are_understood(tmp_path: Path, encoding: str, name: str) -> None:
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
    (tmp_path / name).write_bytes((CSV if name == "a.csv" else lines).encode(encoding))
    assert values(tmp_path / name) == ROWS


def test_other_encodings_are_refused_with_the_offset_of_the_byte(tmp_path: Path) -> None:
    text = "prompt,completion\n" + "a,b\n" * 50_000 + "caf"
    (tmp_path / "a.csv").write_bytes(text.encode() + "é,x\n".encode("cp1252"))
    with pytest.raises(UnreadableSource, match=f"offset {len(text)} ") as raised:
        read(tmp_path / "a.csv")
    assert "iconv" in raised.value.recovery


@pytest.mark.parametrize(
    ("content", "seems"),
    [
        (gzip.compress(CSV.encode()), "gzip"),
        (b"PK\x03\x04" + bytes(40), "ZIP"),
        (bytes(range(256)) * 4, "binary"),
        (CSV.encode("utf-16-le"), "UTF-16"),
        (b"<!DOCTYPE html><html><body>Not found</body></html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        (b"PAR1" + bytes(30), "damaged"),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_what_cannot_be_read_is_told_by_what_it_seems_to_be(
    tmp_path: Path, name: str, content: bytes, seems: str
) -> None:
    if seems == "web page" and name == "a.csv":
        content = content.replace(b"<!DOCTYPE", b"<!doctype")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableSource, match=seems):
        read(tmp_path / name)


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.parquet"])
def test_prose_is_not_taken_for_a_table(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("Well, said the fox.\nI never, ever, met a hen\nso clever.\n")
    with pytest.raises(UnreadableSource, match="plain text"):
        read(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b" \n\n"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.parquet"])
def test_an_empty_file_is_told_as_empty(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(NoRows, match="empty"):
        read(tmp_path / name)


def test_a_missing_file_is_told_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match=r"gone\.csv"):
        read(tmp_path / "gone.csv")


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(UnreadableSource, match="regular file"):
        read(tmp_path / "a.csv")


def test_a_folder_is_read_file_by_file_with_row_numbers_going_on(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "b.jsonl", ROWS)
    (tmp_path / "a.csv").write_text(CSV, encoding="utf-8")
    (tmp_path / "README.md").write_text("not data")
    meter = Meter()
    rows = list(open_source(request_for(tmp_path), meter).rows)
    assert [row.values for row in rows] == ROWS + ROWS
    assert [row.number for row in rows] == [1, 2, 3, 4]
    assert meter.share == pytest.approx(1)


def test_a_folder_with_named_splits_gives_only_the_wanted_one(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "train-00000.jsonl", ROWS)
    write_jsonl(tmp_path / "test.jsonl", [{"prompt": "secret", "completion": "test"}])
    assert values(tmp_path) == ROWS
    assert len(values(tmp_path, split="test")) == 1
    with pytest.raises(SourceNotFound, match="test, train"):
        read(tmp_path, split="validation")


def test_a_folder_without_data_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match="no data files"):
        read(tmp_path)


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.jsonl").symlink_to(write_jsonl(tmp_path / "outside.jsonl", ROWS))
    with pytest.raises(UnsafePath, match=r"a\.jsonl"):
        read(folder)


def test_max_rows_bounds_what_is_read(tmp_path: Path) -> None:
    assert values(write_jsonl(tmp_path / "a.jsonl", ROWS), max_rows=1) == ROWS[:1]


@pytest.mark.parametrize("argument", [{"subset": "x"}, {"revision": "x"}, {"split": "train[:10%]"}])
def test_arguments_that_only_the_hub_knows_are_not_ignored(tmp_path: Path, argument: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument, match=next(iter(argument))):
        read(write_jsonl(tmp_path / "a.jsonl", ROWS), **argument)

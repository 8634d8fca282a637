from __future__ import annotations

import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.data.inputs import request_for, write_jsonl
from tests.unit.data.reading.reading import problems, read, values, written
from tunesmith.data.reading import local_paths, parts
from tunesmith.data.reading.meter import Meter
from tunesmith.data.reading.sources import open_source
from tunesmith.schemas.errors import InvalidArgument, NoRows, SourceNotFound, UnreadableSource, UnsafePath

ROWS = [{"prompt": "one", "completion": "1"}, {"prompt": "zwei ü", "completion": "2"}]
CSV = "prompt,completion\none,1\nzwei ü,2\n"
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


def parquet(path: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(ROWS), path)
    return path


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.parquet", "a"])
@pytest.mark.parametrize("content", ["parquet", "array", "pretty array", "lines", "csv", "tsv", "wrapped"])
def test_a_file_is_read_as_what_it_is_whatever_its_name(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    if content == "parquet":
        parquet(path)
    else:
        text = {
            "array": json.dumps(ROWS),
            "pretty array": json.dumps(ROWS, indent=2),
            "lines": LINES.replace("\n", "\n\n"),
            "csv": CSV,
            "tsv": CSV.replace(",", "\t"),
            "wrapped": json.dumps({"data": ROWS}, indent=1),
        }[content]
        path.write_text(text, encoding="utf-8")
    assert values(read(path)) == ROWS


def test_a_first_line_longer_than_what_is_sniffed_is_still_a_line(tmp_path: Path) -> None:
    long = {"prompt": "x" * 900_000, "completion": "y"}
    path = write_jsonl(tmp_path / "a.json", [long, *ROWS])
    assert values(read(path)) == [long, *ROWS]


@pytest.mark.parametrize(
    ("content", "seems"),
    [
        (bytes(range(256)) * 4, "binary"),
        (b"<!DOCTYPE html><html><body>Not found</body></html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        (b"\x80\x04\x95\x10" + bytes(20), "pickle"),
        (b"PAR1" + bytes(30), "damaged"),
    ],
)
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "a.txt"])
def test_what_cannot_be_read_is_told_by_what_it_seems_to_be(
    tmp_path: Path, name: str, content: bytes, seems: str
) -> None:
    with pytest.raises(UnreadableSource, match=seems):
        read(written(tmp_path / name, content))


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b" \n\n"])
@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.parquet"])
def test_an_empty_file_is_told_as_empty(tmp_path: Path, name: str, content: bytes) -> None:
    with pytest.raises(NoRows, match="empty"):
        read(written(tmp_path / name, content))


def test_a_missing_file_is_told_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match=r"gone\.csv"):
        read(tmp_path / "gone.csv")


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(UnreadableSource, match="regular file"):
        read(tmp_path / "a.csv")


def test_a_device_is_refused() -> None:
    with pytest.raises(UnreadableSource, match="regular file"):
        read(Path("/dev/zero"))


@pytest.fixture
def nobody() -> Iterator[None]:
    """The rights of a user who owns nothing here."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


@pytest.mark.parametrize("closed", ["folder", "folder/a.jsonl"])
def test_what_may_not_be_read_is_told(tmp_path: Path, nobody: None, closed: str) -> None:
    os.seteuid(os.getuid())
    for folder in (tmp_path, *tmp_path.parents[:3]):
        if folder.owner() == tmp_path.owner() and folder != Path("/tmp"):
            folder.chmod(0o755)
    (tmp_path / "folder").mkdir()
    write_jsonl(tmp_path / "folder/a.jsonl", ROWS)
    (tmp_path / closed).chmod(0o000)
    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        for path in (tmp_path / "folder", tmp_path / "folder/a.jsonl"):
            with pytest.raises(UnreadableSource, match="may not be read"):
                read(path)
    finally:
        os.seteuid(os.getuid())
        (tmp_path / closed).chmod(0o700)


def test_a_file_that_changes_while_it_is_read_is_told(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "a.jsonl", ROWS * 1_000)
    (part,) = open_source(request_for(path)).parts
    rows = part.rows()
    next(rows)
    with path.open("a") as file:
        file.write(LINES)
    with pytest.raises(UnreadableSource, match="has changed"):
        list(rows)


@pytest.mark.parametrize("swapped", ["a.jsonl", "."])
def test_a_link_put_in_the_place_of_a_file_or_folder_is_not_followed(tmp_path: Path, swapped: str) -> None:
    folder, other = tmp_path / "data", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    path = write_jsonl(folder / "a.jsonl", ROWS)
    write_jsonl(other / "a.jsonl", ROWS)
    (part,) = open_source(request_for(path)).parts
    moved = folder / swapped
    moved.rename(tmp_path / "moved")
    moved.symlink_to(other / swapped)
    with pytest.raises(UnsafePath, match="link"):
        list(part.rows())


def test_a_folder_is_read_file_by_file(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "b.jsonl", ROWS)
    (tmp_path / "a.csv.gz").write_text(CSV, encoding="utf-8")
    (tmp_path / "README.md").write_text("not data")
    (tmp_path / ".hidden.jsonl").write_text("{")
    (tmp_path / "dataset_infos.json").write_text("{}")
    (tmp_path / "empty.csv").write_text("")
    source = open_source(request_for(tmp_path))
    assert [Path(part.name).name for part in source.parts] == ["a.csv.gz", "b.jsonl", "empty.csv"]
    meter = Meter()
    rows = [row for part in source.parts for row in part.rows(meter)]
    assert [row.values for row in rows] == ROWS + ROWS
    assert [part.numbers for part in source.parts] == [2, 2, 0]
    assert sum(part.size for part in source.parts) == len(CSV.encode()) + len(LINES.encode())


def test_a_folder_without_data_of_its_own_stands_for_what_is_below(tmp_path: Path) -> None:
    for name in ("data/x/b.jsonl", "data/a.jsonl", "data/.git/c.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_jsonl(tmp_path / name, ROWS)
    assert len(values(read(tmp_path))) == 4
    write_jsonl(tmp_path / "top.jsonl", ROWS)
    assert len(values(read(tmp_path))) == 2


def test_a_folder_of_text_alone_is_read_as_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("One line.\nAnother line.\n")
    assert values(read(tmp_path)) == [{"text": "One line."}, {"text": "Another line."}]


@pytest.mark.parametrize("names", [("train-00000.jsonl", "test.jsonl"), ("train/a.jsonl", "test/a.jsonl")])
def test_a_folder_with_named_splits_gives_only_the_wanted_one(tmp_path: Path, names: tuple[str, str]) -> None:
    for name, rows in zip(names, (ROWS, [{"prompt": "secret", "completion": "test"}]), strict=True):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_jsonl(tmp_path / name, rows)
    assert values(read(tmp_path)) == ROWS
    assert len(read(tmp_path, split="test")) == 1
    with pytest.raises(SourceNotFound, match="test, train"):
        read(tmp_path, split="validation")


def test_a_folder_without_data_is_told(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match="no data files"):
        read(tmp_path)


@pytest.mark.parametrize("pattern", ["", "*.jsonl"])
def test_a_link_out_of_the_folder_is_refused(tmp_path: Path, pattern: str) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.jsonl").symlink_to(write_jsonl(tmp_path / "outside.jsonl", ROWS))
    with pytest.raises(UnsafePath, match=r"a\.jsonl"):
        read(folder / pattern)


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.jsonl", ["a.jsonl", "b.jsonl"]),
        ("[ab].jsonl", ["a.jsonl", "b.jsonl"]),
        ("x/*", ["x/c.jsonl", "x/notes"]),
        ("**/*.jsonl", ["a.jsonl", "b.jsonl", "x/c.jsonl", "x/y/d.jsonl"]),
        ("*/?/*.jsonl", ["x/y/d.jsonl"]),
        ("x/**", ["x/c.jsonl", "x/notes", "x/y/d.jsonl"]),
    ],
)
def test_a_pattern_stands_for_the_files_it_matches(tmp_path: Path, pattern: str, names: list[str]) -> None:
    for name in ("b.jsonl", "a.jsonl", "x/c.jsonl", "x/notes", "x/y/d.jsonl", ".h.jsonl", ".x/e.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write_jsonl(tmp_path / name, [{"prompt": name, "completion": "x"}])
    assert [row["prompt"] for row in values(read(tmp_path / pattern))] == names
    with pytest.raises(SourceNotFound, match=r"No file matches \*\.csv"):
        read(tmp_path / "*.csv")


def test_a_search_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(12):
        write_jsonl(tmp_path / f"{number}.jsonl", ROWS)
    (tmp_path / "loop").symlink_to(tmp_path)
    monkeypatch.setattr(local_paths, "MOST_FILES", 11)
    for path in (tmp_path, tmp_path / "**" / "*"):
        with pytest.raises(InvalidArgument, match="more than 11 files"):
            read(path)
    monkeypatch.setattr(local_paths, "MOST_ENTRIES", 10)
    with pytest.raises(InvalidArgument, match="more than 10 files and folders"):
        read(tmp_path / "**" / "*.csv")


def test_several_paths_are_read_in_their_order_and_each_file_once(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_jsonl(tmp_path / f"{name}.jsonl", [{"prompt": name, "completion": "x"}])
    paths = [str(tmp_path / name) for name in ("c.jsonl", "[ab].jsonl", "a.jsonl")]
    request = request_for(tmp_path).model_copy(update={"path": None, "paths": paths})
    rows = values([row for part in open_source(request).parts for row in part.rows()])
    assert [row["prompt"] for row in rows] == ["c", "a", "b"]


def test_large_json_lines_are_cut_into_parts_that_hold_every_line_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "SPLIT_BYTES", 1_000)
    monkeypatch.setattr(parts, "PART_BYTES", 300)
    lines = [json.dumps({"n": number, "t": "x" * (number % 7 * 90)}) for number in range(50)]
    lines[7], lines[31] = "", "{broken"
    path = written(tmp_path / "a.jsonl", "\ufeff" + "\n".join(lines))
    source = open_source(request_for(path))
    assert len(source.parts) > 10
    before, numbered = 0, []
    for part in pickle.loads(pickle.dumps(source.parts)):
        meter = Meter()
        numbered += [(before + row.number, row.values.get("n")) for row in part.rows(meter)]
        before += part.numbers
        assert meter.share == 1
    assert numbered == [(n + 1, None if n == 31 else n) for n in range(50) if n != 7]


def test_the_meter_moves_within_a_part(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "prompt,completion\n" + "a,bcdefghij\n" * 100_000)
    (part,) = open_source(request_for(path)).parts
    meter, shares = Meter(), set()
    for _ in part.rows(meter):
        shares.add(meter.share)
    assert len(shares) > 3
    assert sorted(shares)[-1] <= meter.share == 1


@pytest.mark.parametrize(
    ("arguments", "rows"),
    [
        ({"max_rows": 1}, 1),
        ({"split": "train[:5]"}, 5),
        ({"split": "train[:5]", "max_rows": 3}, 3),
        ({}, None),
    ],
)
def test_how_many_rows_are_wanted_is_told(
    tmp_path: Path, arguments: dict[str, Any], rows: int | None
) -> None:
    assert open_source(request_for(write_jsonl(tmp_path / "a.jsonl", ROWS), **arguments)).max_rows == rows


@pytest.mark.parametrize(
    "argument", [{"subset": "x"}, {"revision": "x"}, {"split": "train[:10%]"}, {"split": "train[5:]"}]
)
def test_arguments_that_only_the_hub_knows_are_not_ignored(tmp_path: Path, argument: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument, match=next(iter(argument))):
        read(write_jsonl(tmp_path / "a.jsonl", ROWS), **argument)


def test_errors_never_quote_a_row(tmp_path: Path) -> None:
    rows = read(written(tmp_path / "a.jsonl", '{"a": 1}\n{"secret": \n'))
    assert problems(rows) == [(2, "invalid_json")]
    assert "secret" not in repr(rows[1])

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.unit.data.inputs import request_for
from tests.unit.data.reading.reading import problems, read, values
from tunesmith.data.reading import parts, tables
from tunesmith.data.reading.sources import open_source
from tunesmith.schemas.errors import SourceNotFound, UnreadableSource

ROWS: list[dict[str, Any]] = [
    {
        "prompt": "one",
        "tags": ["a", "b"],
        "score": 1.5,
        "day": datetime.date(2026, 1, 2),
        "turns": {"role": "user"},
    },
    {"prompt": None, "tags": [], "score": None, "day": None, "turns": None},
]


def parquet(path: Path, rows: list[dict[str, Any]], **options: Any) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path, **options)
    return path


def ipc(path: Path, table: Any, as_stream: bool) -> Path:
    new = pa.ipc.new_stream if as_stream else pa.ipc.new_file
    with pa.OSFile(str(path), "wb") as file, new(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=1)
    return path


@pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
def test_parquet_gives_python_values(tmp_path: Path, name: str) -> None:
    assert values(read(parquet(tmp_path / name, ROWS))) == ROWS


@pytest.mark.parametrize("as_stream", [True, False])
def test_arrow_files_and_streams_give_the_same(tmp_path: Path, as_stream: bool) -> None:
    assert values(read(ipc(tmp_path / "a.arrow", pa.Table.from_pylist(ROWS), as_stream))) == ROWS


@pytest.mark.parametrize("keep", [4, 40, -1, -20])
def test_a_table_that_is_cut_is_told(tmp_path: Path, keep: int) -> None:
    for path in (
        parquet(tmp_path / "a.parquet", ROWS),
        ipc(tmp_path / "a.arrow", pa.Table.from_pylist(ROWS), False),
    ):
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(UnreadableSource, match=r"damaged or incomplete|seems to be"):
            read(path)


def test_large_parquet_is_cut_at_row_groups_and_numbered_within(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "SPLIT_BYTES", 1)
    monkeypatch.setattr(parts, "PART_BYTES", 1)
    path = parquet(tmp_path / "a.parquet", [{"n": number} for number in range(10)], row_group_size=4)
    rows = read(path)
    assert [row.number for row in rows] == [1, 2, 3, 4, 1, 2, 3, 4, 1, 2]
    assert [row.values["n"] for row in rows] == list(range(10))


def test_text_that_is_no_text_spoils_its_row_alone(tmp_path: Path) -> None:
    bad = pa.array([b"fine", b"caf\xe9", b"good"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"a": bad}), tmp_path / "a.parquet")
    rows = read(tmp_path / "a.parquet")
    assert problems(rows) == [(2, "invalid_encoding")]
    assert [row["a"] for row in values(rows)] == ["fine", "good"]


def test_arrow_bytes_are_checked_before_they_are_believed(tmp_path: Path) -> None:
    offsets = pa.py_buffer(b"".join(offset.to_bytes(4, "little") for offset in (0, 2_000_000_000, 3)))
    bad = pa.StringArray.from_buffers(2, offsets, pa.py_buffer(b"abc"))
    with pytest.raises(UnreadableSource, match="damaged"):
        read(ipc(tmp_path / "a.arrow", pa.table({"a": bad}), True))


def test_a_value_that_is_stored_once_and_repeated_is_not_unpacked_all_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * 200, pa.int32()), ["x" * 4_000_000])
    pq.write_table(pa.table({"a": repeated.cast(pa.string())}), tmp_path / "a.parquet", compression="zstd")
    assert (tmp_path / "a.parquet").stat().st_size < 100_000
    before = pa.total_allocated_bytes()
    for row in open_source(request_for(tmp_path / "a.parquet")).parts[0].rows():
        assert len(row.values["a"]) == 4_000_000
        assert pa.total_allocated_bytes() - before < 200_000_000


@pytest.mark.parametrize("as_dictionary", [True, False])
def test_a_small_file_that_stands_for_gigabytes_is_refused(tmp_path: Path, as_dictionary: bool) -> None:
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * 300, pa.int32()), ["x" * 4_000_000])
    column = repeated if as_dictionary else repeated.cast(pa.string())
    pq.write_table(pa.table({"a": column}), tmp_path / "a.parquet", compression="zstd")
    with pytest.raises(UnreadableSource, match="200 times its own size"):
        for _ in open_source(request_for(tmp_path / "a.parquet")).parts[0].rows():
            pass


def test_a_row_beyond_the_limit_is_passed_over(tmp_path: Path) -> None:
    rows = read(parquet(tmp_path / "a.parquet", [{"a": "x"}, {"a": "y" * 17_000_000}, {"a": "z"}]))
    assert problems(rows) == [(2, "row_too_large")]
    assert [row["a"] for row in values(rows)] == ["x", "z"]


def test_dates_beyond_the_calendar_spoil_their_row_alone(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": pa.array([0, 10**7], pa.date32())}), tmp_path / "a.parquet")
    assert problems(read(tmp_path / "a.parquet")) == [(2, "unreadable_value")]


def test_a_file_that_declares_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wide = parquet(tmp_path / "a.parquet", [{f"c{number}": 1 for number in range(tables.MOST_COLUMNS + 1)}])
    with pytest.raises(UnreadableSource, match="2,001 columns"):
        read(wide)
    monkeypatch.setattr(tables, "LARGEST_ROW_GROUP", 10)
    with pytest.raises(UnreadableSource, match="row group"):
        read(parquet(tmp_path / "b.parquet", ROWS))


def test_folders_of_save_to_disk_are_read_by_split(tmp_path: Path) -> None:
    import datasets

    train, test = datasets.Dataset.from_list([{"a": "x"}] * 3), datasets.Dataset.from_list([{"a": "y"}])
    train.save_to_disk(tmp_path / "one", num_shards=2)
    datasets.DatasetDict({"train": train, "test": test}).save_to_disk(tmp_path / "both")
    assert values(read(tmp_path / "one")) == [{"a": "x"}] * 3
    assert values(read(tmp_path / "both")) == [{"a": "x"}] * 3
    assert values(read(tmp_path / "both", split="test")) == [{"a": "y"}]
    with pytest.raises(SourceNotFound, match="train, test"):
        read(tmp_path / "both", split="dev")
    (tmp_path / "one" / "state.json").write_text('{"_data_files": [{"filename": "../both/x.arrow"}]}')
    with pytest.raises(UnreadableSource, match="description"):
        read(tmp_path / "one")

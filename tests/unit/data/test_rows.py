from __future__ import annotations

import errno
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tunesmith.data.rows import (
    Message,
    Row,
    RowsWriter,
    fingerprint,
    iter_rows,
    read_rows,
    row_groups,
    write_rows,
)
from tunesmith.schemas.errors import DiskFull, UnreadableSource

PAIRS = [Row(1, "a", "b", extras={"topic": "x"}), Row(3, "", "ü\n")]
CHATS = [Row(1, messages=(Message("user", "hi"), Message("assistant", "hello")), extras={})]


CALL = '[{"type":"function","function":{"name":"now","arguments":"{}"}}]'
TOOLED = [
    Row(
        4,
        messages=(
            Message("user", "What time is it?", name="Ann"),
            Message("assistant", "", tool_calls=CALL, trains=False),
            Message("tool", "12:00", tool_call_id="1"),
            Message("assistant", "Noon."),
        ),
        tools='[{"type":"function"}]',
        notes=("ends_with_user",),
    )
]
PREFERRED = [Row(5, "q", "better", rejected="worse", notes=("extra_field",))]


def test_rows_of_every_kind_come_back_as_they_were_written(tmp_path: Path) -> None:
    for name, rows, kind in (
        ("pairs", PAIRS + PREFERRED, "prompt_completion"),
        ("chats", CHATS + TOOLED, "messages"),
        ("both", PAIRS + PREFERRED + CHATS + TOOLED, "mixed"),
    ):
        write_rows(tmp_path / f"{name}.parquet", rows, kind)  # type: ignore[arg-type]
        assert read_rows(tmp_path / f"{name}.parquet") == rows


def test_a_folder_of_part_files_is_read_in_their_order(tmp_path: Path) -> None:
    write_rows(tmp_path / "part-00002.parquet", PAIRS, "prompt_completion")
    write_rows(tmp_path / "part-00001.parquet", PREFERRED, "prompt_completion")
    assert read_rows(tmp_path) == PREFERRED + PAIRS
    assert [piece.rows for piece in row_groups(tmp_path)] == [1, 2]
    with pytest.raises(UnreadableSource):
        read_rows(tmp_path / "nothing")


def test_the_files_have_the_columns_that_trl_expects_before_ours(tmp_path: Path) -> None:
    write_rows(tmp_path / "pairs.parquet", PAIRS, "prompt_completion")
    write_rows(tmp_path / "chats.parquet", CHATS, "messages")
    pairs, chats = pq.read_table(tmp_path / "pairs.parquet"), pq.read_table(tmp_path / "chats.parquet")
    assert pairs.column_names == ["row", "prompt", "completion", "rejected", "extras", "notes"]
    assert chats.column_names == ["row", "messages", "tools", "rejected", "extras", "notes"]
    (turns,) = chats["messages"].to_pylist()
    assert [(turn["role"], turn["content"]) for turn in turns] == [("user", "hi"), ("assistant", "hello")]


def test_rows_beyond_one_batch_keep_their_order(tmp_path: Path) -> None:
    rows = [Row(number, f"p{number}", "c") for number in range(1, 2_502)]
    write_rows(tmp_path / "rows.parquet", rows, "prompt_completion")
    assert [row.number for row in iter_rows(tmp_path / "rows.parquet")] == list(range(1, 2_502))


def test_the_fingerprint_depends_on_content_and_order_but_not_on_origin(tmp_path: Path) -> None:
    written = write_rows(tmp_path / "rows.parquet", PAIRS, "prompt_completion")
    assert written == fingerprint(PAIRS) == fingerprint(iter_rows(tmp_path / "rows.parquet"))
    assert fingerprint(reversed(PAIRS)) != written
    assert fingerprint([Row(9, "a", "b"), Row(10, "", "ü\n")]) == written
    assert fingerprint([Row(1, "ab", "")]) != fingerprint([Row(1, "a", "b")])


def test_an_exception_while_writing_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    write_rows(path, PAIRS, "prompt_completion")
    with pytest.raises(LookupError), RowsWriter(path, "prompt_completion") as writer:
        writer.append(Row(7, "new", "new"))
        raise LookupError
    assert read_rows(path) == PAIRS
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_told_as_such_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", no_room)
    with pytest.raises(DiskFull):
        write_rows(tmp_path / "rows.parquet", PAIRS, "prompt_completion")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(UnreadableSource):
        read_rows(tmp_path / "rows.parquet")

from __future__ import annotations

import errno
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tunesmith.data.rows import Message, Row, RowsWriter, fingerprint, iter_rows, read_rows, write_rows
from tunesmith.schemas.errors import DiskFull, UnreadableSource

PAIRS = [Row(1, "a", "b", extras={"topic": "x"}), Row(3, "", "ü\n")]
CHATS = [Row(1, messages=(Message("user", "hi"), Message("assistant", "hello")), extras={})]


def test_pairs_and_conversations_come_back_as_they_were_written(tmp_path: Path) -> None:
    write_rows(tmp_path / "pairs.parquet", PAIRS, "prompt_completion")
    write_rows(tmp_path / "chats.parquet", CHATS, "messages")
    assert read_rows(tmp_path / "pairs.parquet") == PAIRS
    assert read_rows(tmp_path / "chats.parquet") == CHATS


def test_the_files_have_the_columns_that_trl_expects(tmp_path: Path) -> None:
    write_rows(tmp_path / "pairs.parquet", PAIRS, "prompt_completion")
    write_rows(tmp_path / "chats.parquet", CHATS, "messages")
    pairs, chats = pq.read_table(tmp_path / "pairs.parquet"), pq.read_table(tmp_path / "chats.parquet")
    assert pairs.column_names == ["row", "prompt", "completion", "extras"]
    assert chats.column_names == ["row", "messages", "extras"]
    assert chats["messages"].to_pylist() == [
        [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    ]


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

"""The journal: append-only, and readable whatever a crash left in it."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from tunesmith.jobs.journal import Journal, JournalReader, read_events
from tunesmith.schemas.errors import StorageFailed


def test_what_is_appended_is_read_back_in_order(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl", attempt=2)
    journal.append("started", durable=True, pid=7)
    journal.append("progress", step=1, loss=0.5)
    first, second = read_events(journal.path)
    assert (first["event"], first["attempt"], first["pid"]) == ("started", 2, 7)
    assert (second["event"], second["step"], second["loss"]) == ("progress", 1, 0.5)


@pytest.mark.parametrize(
    "garbage", [b"", b"{", b'{"event": "progress", "att', b"\0" * 40, b"[1, 2]\n", b'"x"\n', b"\xff\xfe\n"]
)
def test_torn_and_foreign_lines_are_skipped_and_the_next_event_is_read(tmp_path, garbage):
    journal = Journal(tmp_path / "journal.jsonl", attempt=1)
    journal.append("started", pid=1)
    with journal.path.open("ab") as file:
        file.write(garbage)
    journal.append("finished", state="succeeded", error=None)
    assert [event["event"] for event in read_events(journal.path)] == ["started", "finished"]


def test_a_reader_returns_only_what_is_new(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl", attempt=1)
    reader = JournalReader(journal.path)
    assert reader.read_new() == []
    journal.append("started", pid=1)
    assert [event["event"] for event in reader.read_new()] == ["started"]
    journal.append("phase", phase="loading")
    assert [event["event"] for event in reader.read_new()] == ["phase"]
    assert reader.read_new() == []


def test_a_line_that_is_half_written_is_read_once_it_is_whole(tmp_path):
    path = tmp_path / "journal.jsonl"
    reader = JournalReader(path)
    line = json.dumps({"event": "phase", "attempt": 1, "phase": "x"}).encode() + b"\n"
    path.write_bytes(line[:10])
    assert reader.read_new() == []
    with path.open("ab") as file:
        file.write(line[10:])
    assert [event["phase"] for event in reader.read_new()] == ["x"]


def test_a_loss_that_is_no_number_is_refused_rather_than_written(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        Journal(tmp_path / "journal.jsonl", 1).append("progress", loss=float("nan"))
    assert read_events(tmp_path / "journal.jsonl") == []


def test_a_journal_that_cannot_be_written_is_told_as_an_error_of_the_store(tmp_path):
    with pytest.raises(StorageFailed):
        Journal(tmp_path / "missing" / "journal.jsonl", 1).append("started")


def test_a_line_without_an_end_takes_no_memory_and_hides_no_event_behind_it(tmp_path):
    path = tmp_path / "journal.jsonl"
    Journal(path, attempt=1).append("started", pid=1)
    with path.open("ab") as file:
        for _ in range(40):
            file.write(b'{"event": "phase", ' + b" " * 1_000_000)
    Journal(path, attempt=1).append("finished", state="stopped", error=None)
    tracemalloc.start()
    try:
        events = read_events(path)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [event["event"] for event in events] == ["started", "finished"]
    assert peak_bytes < 10_000_000


@pytest.mark.row("R7")
@pytest.mark.parametrize("value", ["NaN", "-Infinity", "[" * 100_000])
def test_a_line_that_only_looks_like_JSON_is_skipped(tmp_path, value):
    path = tmp_path / "journal.jsonl"
    path.write_text(f'{{"event": "progress", "attempt": 1, "loss": {value}}}\n')
    Journal(path, attempt=1).append("started", pid=1)
    assert [event["event"] for event in read_events(path)] == ["started"]


def test_a_reader_that_begins_in_the_middle_reads_the_rest(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl", attempt=1)
    journal.append("started", pid=1)
    first = JournalReader(journal.path)
    first.read_new()
    journal.append("phase", phase="x")
    assert [event["event"] for event in JournalReader(journal.path, first.position).read_new()] == ["phase"]

"""The sidecar saves reading a long journal again. Without it, or with other bytes in it, every answer is the same."""

from __future__ import annotations

import os
from dataclasses import fields

import pytest

from tests.support.small_files import files_of_at_most
from tests.support.written_runs import began, evaluated, finished, progressed, run_handle, write_run
from tunesmith.jobs import ledger_sidecar
from tunesmith.jobs.journal import Journal, JournalReader, read_events
from tunesmith.jobs.ledger_sidecar import WORTH_KEEPING_BYTES, FollowedLedger
from tunesmith.jobs.paths import Store
from tunesmith.jobs.series import HEAD, MERGED, RECENT
from tunesmith.jobs.snapshot import Observer
from tunesmith.jobs.state import Ledger

HANDLE = run_handle(1)
STEPS = 2 * (HEAD + MERGED + RECENT)


@pytest.fixture
def paths(tmp_path):
    steps = [progressed(step) for step in range(1, STEPS)]
    again = [{**progressed(step), "attempt": 2, "loss": 0.5} for step in range(STEPS - 30, STEPS + 1)]
    events = [
        *began(),
        {"event": "phase", "attempt": 1, "phase": "training"},
        evaluated(0, 3.0),
        *steps,
        evaluated(STEPS, 1.5, accuracy=None),
        {"event": "checkpoint", "attempt": 1, "step": STEPS - 31},
        {"event": "finding", "attempt": 1, "code": "x", "severity": "info", "message": "ü", "recovery": "-"},
        {"event": "exited", "attempt": 1, "returncode": -9},
        {"event": "requeued", "attempt": 2},
        *again,
    ]
    return write_run(Store(tmp_path), HANDLE, events)


def read_in_full(paths):
    """What all events add up to."""
    ledger = Ledger()
    for event in read_events(paths.journal):
        ledger.add(event)
    return ledger


class Reading:
    """How many bytes of a journal are read, from now on."""

    def __init__(self, monkeypatch):
        self.lines = 0
        real = ledger_sidecar.JournalReader.new_events

        def counted(reader):
            for event in real(reader):
                self.lines += 1
                yield event

        monkeypatch.setattr(JournalReader, "new_events", counted)


def test_a_second_reader_reads_only_what_came_after_the_sidecar(paths, monkeypatch):
    FollowedLedger(paths).refresh()
    assert paths.ledger.exists()
    Journal(paths.journal, attempt=2).append("finished", state="stopped", error=None)
    reading = Reading(monkeypatch)
    ledger = FollowedLedger(paths).refresh()
    assert reading.lines == 1
    assert ledger.finished == "stopped"
    assert ledger == read_in_full(paths)


def test_everything_that_a_ledger_holds_comes_back_from_the_sidecar(paths):
    with paths.journal.open("a") as file:
        file.write('{"event": "claimed", "attempt": 2, "boot": 5.0, "host_pid": 7, "device": "cpu"}\n')
        file.write('{"event": "started", "attempt": 2, "boot": 6.0, "pid": 8, "birth": "9"}\n')
        file.write('{"event": "inputs", "attempt": 2, "rows": 9, "tokens": 90}\n')
        file.write('{"event": "prompt_use", "attempt": 2, "step": 5, "own_loss": 1.0}\n')
        file.write('{"event": "phase", "attempt": 2, "phase": "saving", "boot": 7.0}\n')
        file.write('{"event": "exited", "attempt": 2, "returncode": 1, "oom_kills": 1}\n')
        report = '{"code": "x", "message": "y", "recovery": "z"}'
        file.write(f'{{"event": "finished", "attempt": 2, "state": "failed", "error": {report}}}\n')
    FollowedLedger(paths).refresh()
    _, kept = ledger_sidecar._read(paths)
    assert kept == read_in_full(paths)
    # An empty container would prove nothing: events that fill a new one belong above.
    assert [part.name for part in fields(Ledger) if getattr(kept, part.name) in ({}, [], None)] == []


def test_a_short_journal_gets_no_sidecar(tmp_path):
    paths = write_run(Store(tmp_path), HANDLE, [*began(), progressed(1), finished()])
    assert FollowedLedger(paths).refresh().finished == "succeeded"
    assert not paths.ledger.exists()


def test_the_sidecar_is_written_again_each_time_so_much_more_was_read(paths):
    followed = FollowedLedger(paths)
    followed.refresh()
    before = paths.ledger.read_bytes()
    Journal(paths.journal, attempt=2).append("phase", phase="a")
    followed.refresh()
    assert paths.ledger.read_bytes() == before
    Journal(paths.journal, attempt=2).append("phase", phase="b" * WORTH_KEEPING_BYTES)
    assert followed.refresh().phase[0] == "b"
    assert paths.ledger.read_bytes() != before
    assert FollowedLedger(paths).refresh() == read_in_full(paths)


@pytest.mark.row("R7")
@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: b"",
        lambda kept: kept[: len(kept) // 2],
        lambda kept: b"\0" * len(kept),
        lambda kept: kept[: len(kept) // 2] + b"\0" * (len(kept) - len(kept) // 2),
        lambda kept: os.urandom(len(kept)),
        lambda kept: kept + b"tail",
        lambda kept: kept.replace(b'"attempt":2', b'"attempt":3'),
        lambda kept: b"[" * 100_000,
        lambda kept: kept.partition(b"\n")[0] + b"\n{}",
        lambda kept: kept.partition(b"\n")[2],
    ],
    ids=[
        "empty", "half", "zeroed", "half zeroed", "garbage", "garbage tail", "one digit", "deep", "other", "no sum",
    ],
)  # fmt: skip
def test_a_damaged_sidecar_changes_no_answer(paths, damage):
    FollowedLedger(paths).refresh()
    paths.ledger.write_bytes(damage(paths.ledger.read_bytes()))
    assert FollowedLedger(paths).refresh() == read_in_full(paths)


@pytest.mark.row("R7")
def test_a_missing_sidecar_or_a_folder_in_its_place_changes_no_answer(paths):
    FollowedLedger(paths).refresh()
    paths.ledger.unlink()
    paths.ledger.mkdir()
    assert FollowedLedger(paths).refresh() == read_in_full(paths)
    assert sorted(entry.name for entry in paths.folder.iterdir()) == [
        "journal.jsonl", "ledger.json", "plan.json", "request.json",
    ]  # fmt: skip


@pytest.mark.row("R9")
def test_a_disk_that_fills_up_while_the_sidecar_is_written_changes_no_answer(paths):
    with files_of_at_most(1000):
        assert FollowedLedger(paths).refresh() == read_in_full(paths)
    assert sorted(entry.name for entry in paths.folder.iterdir()) == [
        "journal.jsonl",
        "plan.json",
        "request.json",
    ]


@pytest.mark.row("R7")
@pytest.mark.parametrize(
    "change",
    [
        lambda journal: b"",
        lambda journal: journal[: len(journal) // 2],
        lambda journal: b"\0" * len(journal),
        lambda journal: journal[: len(journal) // 2] + b"\0" * (len(journal) - len(journal) // 2),
        lambda journal: journal[: len(journal) // 2] * 3,
        lambda journal: b'{"event": "claimed", "attempt": 1}\n' * (len(journal) // 20),
        lambda journal: journal + b'{"event": "fin',
    ],
    ids=["empty", "half", "zeroed", "half zeroed", "regrown", "replaced", "torn last line"],
)
def test_a_journal_that_was_cut_or_replaced_is_told_as_it_is_now(paths, change):
    FollowedLedger(paths).refresh()
    paths.journal.write_bytes(change(paths.journal.read_bytes()))
    assert FollowedLedger(paths).refresh() == read_in_full(paths)


def test_a_half_written_line_at_the_sidecars_end_is_read_once_it_is_whole(paths):
    with paths.journal.open("a") as file:
        file.write('{"event": "phase", "attempt": 2,')
    FollowedLedger(paths).refresh()
    with paths.journal.open("a") as file:
        file.write(' "phase": "whole"}\n')
    assert FollowedLedger(paths).refresh().phase == "whole"


def test_a_sidecar_of_other_fields_is_not_guessed_at(paths, monkeypatch):
    FollowedLedger(paths).refresh()
    monkeypatch.setattr(ledger_sidecar, "_FORM", "ledger 2: another meaning")
    assert ledger_sidecar._read(paths) is None


@pytest.mark.row("R7")
def test_a_run_whose_folder_was_removed_meanwhile_is_not_brought_back(paths):
    observer = Observer(Store(paths.folder.parent.parent))
    assert observer.look(HANDLE).ledger.attempt == 2
    followed = FollowedLedger(paths)
    for entry in paths.folder.iterdir():
        entry.unlink()
    paths.folder.rmdir()
    assert followed.refresh() == Ledger()
    assert not paths.folder.exists()

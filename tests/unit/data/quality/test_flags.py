"""Flags: rows with defects."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.data.quality.flags import NO_ROW, Flags, read_flags, write_flags
from tunesmith.schemas.errors import UnreadableSource


def flags(**rows: list[int]) -> Flags:
    made = Flags()
    for kind, numbers in rows.items():
        for number in numbers:
            made.add(kind, number)
    return made


def test_stored_flags_come_back_with_the_rows_they_are_about(tmp_path: Path) -> None:
    dropped, found = flags(empty=[3, 1]), flags(refusal=[9])
    found.add("near_duplicate", 7, of=2)
    found.add("near_duplicate", 5, of=2)
    write_flags(tmp_path / "flags.parquet", dropped, found)
    read_dropped, read_found = read_flags(tmp_path / "flags.parquet")
    assert read_dropped.kinds() == ["empty"]
    assert read_dropped.rows("empty").tolist() == [1, 3]
    assert read_dropped.of("empty").tolist() == [NO_ROW, NO_ROW]
    assert sorted(read_found.kinds()) == ["near_duplicate", "refusal"]
    assert read_found.rows("near_duplicate").tolist() == [5, 7]
    assert read_found.of("near_duplicate").tolist() == [2, 2]


def test_merging_shifts_row_numbers_by_the_offset() -> None:
    whole = flags(empty=[1])
    part = flags(empty=[1])
    part.add("duplicate", 3, of=2)
    whole.merge(part, offset=100)
    assert whole.rows("empty").tolist() == [1, 101]
    assert whole.of("empty").tolist() == [NO_ROW, NO_ROW]
    assert (whole.rows("duplicate").tolist(), whole.of("duplicate").tolist()) == ([103], [102])


def test_a_row_with_several_kinds_is_one_row() -> None:
    both = flags(refusal=[4, 2], truncated=[4])
    assert both.rows_with_any(["refusal", "truncated", "absent"]).tolist() == [2, 4]
    both.withdraw("refusal")
    assert both.kinds() == ["truncated"]
    assert both.count("refusal") == 0


def test_damaged_flags_are_told_and_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / "flags.parquet").write_bytes(b"PAR1 nothing")
    with pytest.raises(UnreadableSource, match="missing or damaged"):
        read_flags(tmp_path / "flags.parquet")

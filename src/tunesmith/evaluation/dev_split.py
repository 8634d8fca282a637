"""Which rows of a golden set decide about candidates, and which may be looked at to find them.

A prompt that was made from rows, or chosen among many by its scores on them, fits these rows better than others. So
the dev half is cut in two, for each golden set in one way and for good: prompts are searched on the *exploring* rows,
whose texts are shown and whose scores may be asked for as often as one likes, and what is claimed of a prompt comes
from the *deciding* rows alone, of which nothing is told but that. The test half decides as a whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from tunesmith.schemas.enums import Half


def deciding_rows(numbers: Iterable[int], golden_set_id: str, half: Half) -> frozenset[int]:
    """The row numbers that decide: every row of the test half, every second of the dev half in a random order."""
    known = sorted(set(numbers), key=lambda number: _drawn(golden_set_id, number))
    return frozenset(known if half is Half.TEST else known[::2])


def exploring_rows(numbers: Iterable[int], golden_set_id: str, half: Half) -> list[int]:
    """The other row numbers, in a random order that stays the same."""
    known = sorted(set(numbers), key=lambda number: _drawn(golden_set_id, number))
    return [] if half is Half.TEST else known[1::2]


def _drawn(golden_set_id: str, number: int) -> bytes:
    return hashlib.sha256(f"{golden_set_id}:{number}".encode()).digest()

"""The layout that nearly all answers of a dataset share, and the rows that break it."""

from __future__ import annotations

import json
import re
from array import array

HABIT_SHARE = 0.9
"""A trait of at least this share of the answers is a habit, and the few without it break it."""
LEAST_ROWS = 50

_MARKS = re.compile(r"(answer|output|response|assistant|result|a)\s*:\s", re.IGNORECASE)


class LayoutHabits:
    """Counts traits of answers, and remembers which rows have each and which lack it."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[array[int], array[int]]] = {
            trait: (array("q"), array("q")) for trait in TRAITS
        }
        self._total = 0

    def add(self, answer: str, row: int) -> None:
        """Look at one answer."""
        self._total += 1
        for trait, has in zip(TRAITS, traits(answer), strict=True):
            self._rows[trait][has].append(row)

    def merge(self, other: LayoutHabits, offset: int = 0) -> None:
        """Add what another process saw."""
        self._total += other._total
        for trait, sides in other._rows.items():
            for mine, theirs in zip(self._rows[trait], sides, strict=True):
                mine.extend(row + offset for row in theirs)

    def breaks(self) -> dict[str, list[int]]:
        """Trait -> the rows that lack what nearly all have; of white space also those that alone have it."""
        if self._total < LEAST_ROWS:
            return {}
        found: dict[str, list[int]] = {}
        for trait, (without, having) in self._rows.items():
            rarer = min(without, having, key=len) if trait in _EITHER_WAY else without
            if 0 < len(rarer) <= (1 - HABIT_SHARE) * self._total:
                found[trait] = rarer.tolist()
        return found


TRAITS = ("space_around", "quoted", "json", "code_fence", "label_before", "carriage_return")
_EITHER_WAY = ("space_around", "carriage_return")
# A list or a quotation among plain answers may be what was asked for; plain text among JSON objects is not.


def traits(answer: str) -> tuple[bool, ...]:
    """Which of `TRAITS` an answer has."""
    text = answer.strip()
    return (
        answer != text,
        len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`" and not text.startswith("```"),
        _is_json(text),
        text.startswith("```"),
        _MARKS.match(text) is not None,
        "\r" in answer,
    )


def _is_json(text: str) -> bool:
    if not (text.startswith("{") and text.endswith("}")) and not (
        text.startswith("[") and text.endswith("]")
    ):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True

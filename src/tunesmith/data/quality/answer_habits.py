"""What the answers of a dataset are like as a whole: which rules do not fit it, and which answers stand"
" out by length."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Set

LEAST_ANSWERS = 20
"""With fewer answers nothing is a habit."""
HABITS: dict[str, tuple[float, str]] = {
    "truncated": (0.15, "the answers here do not end with full stops"),
    "html": (0.1, "markup is what these rows are about"),
    "prompt_echo": (0.2, "copying the prompt is the task"),
    "looping": (0.2, "repetition is the task"),
}
"""Kind -> share from which it is no defect, and why. Of the rows; for truncated, of long answers.

A generator that breaks, loops or echoes does so in a few rows of a hundred; a set of titles or of copying tasks does in
most. Between those lies little, and a set that really is broken to a fifth shows in its neighbouring figures.
"""
LABEL_CHARACTERS = 24
"""Where the median answer is no longer than this, answers are labels, and a short word is no stand-in for"
" one."""
_LABEL_KINDS = {"too_short": 0.0, "placeholder": 0.01}

_PROSE_CHARACTERS = 120
_BINS_PER_UNIT = 32
_SPREADS = 4.0
_DEVIATIONS_IN_QUARTILE = 1.4826
_LEAST_DEVIATION = 0.25
_HIGHEST_LIMIT = 8
"""Times the floor or the median: sets that mix words and essays have a spread that means nothing."""
NEVER_TOO_LONG = 4_000
_KEPT = 10_000


class AnswerHabits:
    """Counts kinds and lengths while rows are read, in each process; `merge` brings the processes together.

    Lengths are characters, or what the caller measures in, tokens for example: then `never_too_long` is, too.
    """

    def __init__(self, never_too_long: int = NEVER_TOO_LONG) -> None:
        self.answers = 0
        self._never_too_long = never_too_long
        self._prose = 0
        self._kinds: Counter[str] = Counter()
        self._bins: Counter[int] = Counter()
        self._longest: list[tuple[int, int]] = []

    def add(self, row: int, answer: str, kinds: Set[str], length: int | None = None) -> None:
        """Count one answer of a row; `kinds` are those found on it."""
        size = len(answer) if length is None else length
        self.answers += 1
        self._kinds.update(kinds)
        self._prose += len(answer) >= _PROSE_CHARACTERS or "truncated" in kinds
        self._bins[round(_BINS_PER_UNIT * math.log(size + 1))] += 1
        if size > self._never_too_long:
            _push(self._longest, (size, row))

    def merge(self, other: AnswerHabits, offset: int = 0) -> None:
        """Add what another process counted; `offset` is added to its row numbers."""
        self.answers += other.answers
        self._prose += other._prose
        self._kinds.update(other._kinds)
        self._bins.update(other._bins)
        for size, row in other._longest:
            _push(self._longest, (size, row + offset))

    def suppressed(self) -> dict[str, str]:
        """Kinds that are the nature of this dataset, not a defect, each with the reason for the report."""
        if self.answers < LEAST_ANSWERS:
            return {}
        found = {}
        for kind, (share, reason) in HABITS.items():
            rows = max(self._prose, LEAST_ANSWERS) if kind == "truncated" else self.answers
            if self._kinds[kind] > share * rows:
                found[kind] = reason
        if self.median() <= LABEL_CHARACTERS:
            for kind, share in _LABEL_KINDS.items():
                if self._kinds[kind] > share * self.answers:
                    found[kind] = "the answers here are labels"
        return found

    def median(self) -> float:
        """The median length."""
        return math.exp(_quantile(self._bins, 0.5) / _BINS_PER_UNIT) - 1

    def longest_usual(self) -> float:
        """The length beyond which an answer stands out.

        Four standard deviations above the median of the logarithms; the deviation from the upper quartile, which long
        answers do not move: 1.4826 times its distance (Rousseeuw and Croux 1993).
        """
        if self.answers < LEAST_ANSWERS:
            return math.inf
        middle = _quantile(self._bins, 0.5) / _BINS_PER_UNIT
        deviation = _DEVIATIONS_IN_QUARTILE * (_quantile(self._bins, 0.75) / _BINS_PER_UNIT - middle)
        usual = math.exp(middle + _SPREADS * max(deviation, _LEAST_DEVIATION))
        highest = _HIGHEST_LIMIT * max(self._never_too_long, math.exp(middle))
        return max(float(self._never_too_long), min(usual, highest))

    def too_long(self) -> list[int]:
        """Rows with an answer longer than `longest_usual`, at most 10,000 of them, the longest."""
        limit = self.longest_usual()
        return sorted({row for size, row in self._longest if size > limit})


def _push(heap: list[tuple[int, int]], entry: tuple[int, int]) -> None:
    if len(heap) < _KEPT:
        heapq.heappush(heap, entry)
    else:
        heapq.heappushpop(heap, entry)


def _quantile(bins: Counter[int], share: float) -> int:
    seen = 0
    for place in sorted(bins):
        seen += bins[place]
        if seen >= share * bins.total():
            return place
    return 0

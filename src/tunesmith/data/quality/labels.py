"""Whether answers are class labels, how even the classes are, and labels that are spelled or used oddly."""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter
from dataclasses import dataclass
from statistics import median

MOST_CLASSES = 500
LONGEST_LABEL = 60
LEAST_ROWS_PER_CLASS = 5
"""Answers are labels when they are short, and each is used this often on average."""

IMBALANCE_RATIO = 10.0
"""The most frequent class has this many times the rows of the rarest: the usual border of "imbalanced"."""
DOMINANT_SHARE = 0.95
"""One class with this share: always answering it would look like success."""

RARE_SHARE = 0.1
RARE_FLOOR = 10
"""A label used less than a tenth as often as the median one, when that has at least ten rows, is a suspect."""

_BETWEEN_WORDS = re.compile(r"(?<=\w)[\s-]+(?=\w)")
_AROUND = " \t\r\n.,;\"'`"


@dataclass(frozen=True)
class Balance:
    """Rows per class, spellings taken together; the ratio of the largest to the smallest class; and evenness,
    the classes' Shannon entropy divided by that of equal classes (Pielou 1966), from 0 to 1."""

    rows_of_class: dict[str, int]
    imbalance_ratio: float
    evenness: float

    @property
    def largest_share(self) -> float:
        return max(self.rows_of_class.values()) / sum(self.rows_of_class.values())


class Labels:
    """Collects the answers of rows, as long as they can still be labels."""

    def __init__(self) -> None:
        self._rows: dict[str, array[int]] = {}
        self._total = 0
        self._other = 0

    def add(self, answer: str, row: int) -> None:
        """Count one row's answer."""
        self._total += 1
        if len(answer) > LONGEST_LABEL or "\n" in answer.strip():
            self._other += 1
            return
        rows = self._rows.get(answer)
        if rows is not None:
            rows.append(row)
        elif len(self._rows) < 2 * MOST_CLASSES:
            self._rows[answer] = array("q", [row])
        else:
            self._other += 1

    def add_other(self) -> None:
        """Count a row whose answer cannot be a label, such as a conversation's."""
        self._total += 1
        self._other += 1

    def merge(self, other: Labels, offset: int = 0) -> None:
        """Add what another process counted."""
        self._total += other._total
        self._other += other._other
        for answer, rows in other._rows.items():
            self._rows.setdefault(answer, array("q")).extend(row + offset for row in rows)

    def are_labels(self) -> bool:
        """Whether the answers are class labels: few, short, and used again and again."""
        classes = len(self._classes())
        return (
            2 <= classes <= MOST_CLASSES
            and self._other <= 0.01 * self._total
            and self._total >= LEAST_ROWS_PER_CLASS * classes
        )

    def balance(self) -> Balance:
        """How the rows spread over the classes; call it only when `are_labels`."""
        counts = Counter({max(group, key=self._count): total for group, total in self._classes().values()})
        total = sum(counts.values())
        entropy = -sum(count / total * math.log(count / total) for count in counts.values())
        ratio = max(counts.values()) / min(counts.values())
        return Balance(dict(counts.most_common()), ratio, entropy / math.log(len(counts)))

    def variants(self) -> dict[str, str]:
        """Each label that differs from a more frequent one only in case, spaces or punctuation -> that one."""
        usual: dict[str, str] = {}
        for group, _ in self._classes().values():
            best = max(group, key=lambda label: (self._count(label), label))
            usual.update({label: best for label in group if label != best})
        return usual

    def rare(self) -> list[str]:
        """Labels whose class is hardly used beside the others."""
        classes = self._classes()
        typical = median(total for _, total in classes.values())
        if typical < RARE_FLOOR:
            return []
        return [label for group, total in classes.values() if total < RARE_SHARE * typical for label in group]

    def rows_of(self, label: str) -> list[int]:
        """The rows with exactly this answer."""
        return self._rows[label].tolist()

    def _count(self, label: str) -> int:
        return len(self._rows[label])

    def _classes(self) -> dict[str, tuple[list[str], int]]:
        """Normalised label -> its spellings and its rows."""
        groups: dict[str, list[str]] = {}
        for label in self._rows:
            groups.setdefault(normalised_label(label), []).append(label)
        return {key: (group, sum(map(self._count, group))) for key, group in groups.items()}


def normalised_label(label: str) -> str:
    """A label without case, without quotes or a full stop around it, and with one space between words.

    Signs that mean something stay: C++ is not C#, -1 is not 1.
    """
    return _BETWEEN_WORDS.sub(" ", label.casefold().replace("_", " ")).strip(_AROUND) or label.strip()

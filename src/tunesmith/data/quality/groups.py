"""Groups of rows that pairs link: connected components, as arrays (a union-find without a Python object a row)."""

from __future__ import annotations

from typing import Any

import numpy as np


class Groups:
    """Rows 0 to `rows` - 1, each alone at first."""

    def __init__(self, rows: int) -> None:
        self._first: Any = np.arange(rows, dtype=np.int64)

    def link(self, pairs: Any) -> None:
        """Put the two rows of each pair, int64 (n, 2), into one group."""
        while len(pairs := self.unlinked(pairs)):
            roots = self._first[pairs]
            np.minimum.at(self._first, roots.max(axis=1), roots.min(axis=1))
            self._flatten()

    def unlinked(self, pairs: Any) -> Any:
        """The pairs whose rows are not in one group yet."""
        roots = self._first[pairs]
        return pairs[roots[:, 0] != roots[:, 1]]

    def originals(self) -> Any:
        """int64, one a row: the first row of its group, or -1 where that is the row itself."""
        rows = np.arange(len(self._first))
        return np.where(self._first == rows, -1, self._first)

    def _flatten(self) -> None:
        """Let every row point at the first of its group (pointer jumping)."""
        while True:
            further = self._first[self._first]
            if np.array_equal(further, self._first):
                return
            self._first = further

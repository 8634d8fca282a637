"""Preference pairs that contradict each other."""

from __future__ import annotations

from array import array

import numpy as np
import xxhash

from tunesmith.data.quality.flags import Flags
from tunesmith.data.rows import Row


class Preferences:
    """Remembers, of each pair, 16 bytes and the row: the pair whichever way round, and which side was chosen."""

    def __init__(self) -> None:
        self._pairs = array("Q")
        self._chosen = array("Q")
        self._rows = array("q")

    def add(self, row: Row) -> None:
        """Look at a row with a rejected answer."""
        asked, chosen = _sides(row)
        better, worse = _hash(asked + "\0" + chosen), _hash(asked + "\0" + row.rejected)
        if better != worse:
            self._pairs.append(better ^ worse)
            self._chosen.append(better)
            self._rows.append(row.number)

    def merge(self, other: Preferences) -> None:
        """Add what another process saw of later rows."""
        self._pairs.extend(other._pairs)
        self._chosen.extend(other._chosen)
        self._rows.extend(other._rows)

    def flag(self, flags: Flags) -> None:
        """Flag each later row that prefers what an earlier row with the same answers rejects."""
        pairs, chosen, rows = (np.array(column) for column in (self._pairs, self._chosen, self._rows))
        _, start, group = np.unique(pairs, return_index=True, return_inverse=True)
        first = start[group]
        against = np.flatnonzero(chosen != chosen[first])
        flags.add_all("contradicting_pair", rows[against].tolist(), rows[first[against]].tolist())


def _sides(row: Row) -> tuple[str, str]:
    if not row.messages:
        return row.prompt, row.completion
    asked = "\x1f".join(f"{turn.role}:{turn.content}" for turn in row.messages[:-1])
    return asked, row.messages[-1].content


def _hash(text: str) -> int:
    return int(xxhash.xxh3_64_intdigest(text.encode()))

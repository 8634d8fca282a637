"""Records of a delimited file by the standard library's csv module, with a way on after a stray quote."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

CELL_CHARACTERS = 4_000_000
"""The longest cell. It also bounds what one unclosed quote can swallow."""

_BACKSLASH = re.compile(r"\\(.?)", re.DOTALL)


@dataclass(frozen=True)
class Dialect:
    """How a delimited file is written.

    `quote` is None where quotes mean nothing. With `escapes` a quote within quotes may also be written `\\"`, and a
    backslash before it `\\\\`. With `spaced` a blank may stand between a delimiter and a quote.
    """

    delimiter: str
    quote: str | None = '"'
    escapes: bool = False
    spaced: bool = False


class Records:
    """An iterator over the records of `lines`; None stands for a record that a stray quote spoils.

    After such a record reading goes on in the line after its first. `lines_used` are the physical lines of the
    record that came last. Blank lines are no records.
    """

    def __init__(self, lines: Iterable[str], dialect: Dialect) -> None:
        csv.field_size_limit(CELL_CHARACTERS)
        self.lines_used: list[str] = []
        self._fresh = iter(lines)
        self._returned: deque[str] = deque()
        self.dialect = dialect
        self._reader = self._new_reader()

    def __iter__(self) -> Records:
        return self

    def __next__(self) -> list[str] | None:
        self.lines_used.clear()
        try:
            for record in self._reader:
                if record and (len(record) > 1 or record[0].strip()):
                    return record
                self.lines_used.clear()
        except csv.Error:
            self.keep_first_line()
            return None
        raise StopIteration

    def keep_first_line(self) -> None:
        """Give all lines of the last record but its first back, to be read again."""
        self._returned.extendleft(reversed(self.lines_used[1:]))
        del self.lines_used[1:]
        self._reader = self._new_reader()

    def _new_reader(self) -> Iterator[list[str]]:
        dialect = self.dialect
        return csv.reader(
            self._remembered(),
            delimiter=dialect.delimiter,
            quotechar=dialect.quote,
            quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
            escapechar="\\" if dialect.escapes else None,
            skipinitialspace=dialect.spaced,
            strict=True,
        )

    def _remembered(self) -> Iterator[str]:
        used, returned, escapes = self.lines_used, self._returned, self.dialect.escapes
        while True:
            if returned:
                line = returned.popleft()
            else:
                fresh = next(self._fresh, None)
                if fresh is None:
                    return
                line = fresh
            used.append(line)
            yield _escaped(line) if escapes and "\\" in line else line


def _escaped(line: str) -> str:
    """Backslashes that escape neither a quote nor a backslash, doubled: they are text."""
    return _BACKSLASH.sub(
        lambda found: found[0] if found[1] in ('"', "\\") and found[1] else "\\" + found[0], line
    )

"""What becomes of each file of the messy set, as the table that docs/data-sources.md shows.

Files are described by name and kind alone; nothing of their content is repeated.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from tests.unit.data.inputs import request_for
from tunesmith.data.reading.dialects import Table
from tunesmith.data.reading.kinds import FileKind, sniff
from tunesmith.data.reading.local_file import look_at
from tunesmith.data.reading.sources import open_source
from tunesmith.schemas.errors import TunesmithError

DOCUMENT = Path(__file__).parents[2] / "docs" / "data-sources.md"

_HEAD = "| file | recognised as | rows read | not read, by reason | notes |\n|---|---|---:|---|---|\n"
_TABLE = re.compile(r"\| file \| recognised as .*?(?=\n\n|\Z)", re.DOTALL)
_MARKS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


def messy_files(folder: Path) -> list[Path]:
    """The files of the set, without its description and labels."""
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name != "README.md")


def messy_table(folder: Path) -> str:
    """The whole table in Markdown."""
    return _HEAD + "\n".join(_line(path) for path in messy_files(folder))


def documented_table() -> str:
    """The table as it stands in the documentation."""
    found = _TABLE.search(DOCUMENT.read_text(encoding="utf-8"))
    assert found is not None, f"no table in {DOCUMENT.name}"
    return found[0]


def replace_documented_table(table: str) -> None:
    """Put a new table into the documentation."""
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(_TABLE.sub(lambda _: table, text, count=1), encoding="utf-8")


def _line(path: Path) -> str:
    rows, problems, notes = 0, Counter[str](), Counter[str]()
    error = ""
    try:
        for part in open_source(request_for(path)).parts:
            for row in part.rows():
                rows += row.problem is None
                problems.update([row.problem] if row.problem else [])
                notes.update(row.notes)
    except TunesmithError as raised:
        error = f"error `{raised.code}`"
    return f"| {path.name} | {_kind(path)} | {rows} | {error or _told(problems)} | {_told(notes)} |"


def _kind(path: Path) -> str:
    try:
        found = sniff(look_at(path.resolve(), path.name))
    except TunesmithError:
        return "–"
    words = [str(found.kind) if found.table is None else _table_kind(found.table)]
    words += [found.encoding] * (found.encoding != "utf-8" and found.kind is not FileKind.PARQUET)
    words += [str(found.compression)] * (found.compression is not None)
    return ", ".join(words)


def _table_kind(table: Table) -> str:
    header = "" if table.has_header else ", no header"
    return f"{_MARKS[table.dialect.delimiter]}-separated{header}"


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items()))

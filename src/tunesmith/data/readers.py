"""One reader a kind of file: from open files and tables to rows as they stand there.

Cells and numbers keep the spelling they have in the source: nothing is guessed to be a date or a number.
"""

from __future__ import annotations

import csv
import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tunesmith.schemas.errors import UnreadableSource

CELL_CHARACTERS = 4_000_000
"""The longest CSV cell. It also bounds what one unclosed quote can swallow."""

DELIMITERS = ",;\t|"


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A row as it stands in the source. `problem` says why it could not be read; it has no values then."""

    number: int
    values: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None


def read_jsonl(lines: Iterable[str]) -> Iterator[SourceRow]:
    """JSON lines. A row's number is its line's; blank lines are no rows."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = parse_json(line)
        except (json.JSONDecodeError, RecursionError):
            yield SourceRow(number, problem="invalid_json")
            continue
        yield _as_object(number, value)


def read_json(text: str, name: str) -> Iterator[SourceRow]:
    """A JSON document: an array of objects (perhaps within an object), equally long columns, or one row.

    Raises:
        UnreadableSource: it is not JSON, or holds no rows in one of these forms. `name` names it.
    """
    try:
        document = parse_json(text)
    except RecursionError as error:
        raise UnreadableSource(f"{name} is JSON nested too deeply to be rows.", _JSON_RECOVERY) from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UnreadableSource(f"{name} is not valid JSON: it breaks at {place}.", _JSON_RECOVERY) from error
    for number, value in enumerate(_rows_within(document, name), start=1):
        yield _as_object(number, value)


def read_delimited(lines: Iterable[str], default_delimiter: str, name: str) -> Iterator[SourceRow]:
    """CSV and its relatives with a header line; the delimiter is the one that splits the header most.

    A row with more or fewer cells than the header, a second header (files joined end to end) and a row that
    a stray quote spoils have a `problem`; after a stray quote reading goes on in the very next line. Blank
    lines are no rows. Numbers count rows.

    Raises:
        UnreadableSource: the header itself has a stray quote. `name` names the file.
    """
    csv.field_size_limit(CELL_CHARACTERS)
    pending = _Lines(lines)
    header_line = next((line for line in pending if line.strip()), "")
    delimiter = best_delimiter(header_line, default_delimiter)
    pending.push_back([header_line])
    header = _next_record(pending, delimiter)
    if header is None:
        raise UnreadableSource(
            f"{name} has a stray quote in its header line.", "Correct that line and call load_dataset again."
        )
    names = column_names(header)
    number = 0
    while (record := _next_record(pending, delimiter)) != []:
        number += 1
        if record is None:
            yield SourceRow(number, problem="stray_quote")
        elif record == header:
            yield SourceRow(number, problem="repeated_header")
        elif len(record) != len(names):
            yield SourceRow(number, problem="wrong_column_count")
        else:
            yield SourceRow(number, dict(zip(names, record, strict=True)))


def read_batches(batches: Iterable[Any]) -> Iterator[SourceRow]:
    """Arrow record batches or tables."""
    number = 0
    for batch in batches:
        for values in batch.to_pylist():
            number += 1
            yield SourceRow(number, values)


def parse_json(text: str) -> Any:
    """The JSON value. Numbers stay the text they are; NaN and infinities, which JSON does not have, are null.

    Raises:
        json.JSONDecodeError, RecursionError: it is not JSON, or nested beyond reason.
    """
    return _DECODER.decode(text)


def best_delimiter(header_line: str, default: str) -> str:
    """The delimiter that splits the header into most columns; `default` where none wins."""
    return max(DELIMITERS, key=lambda mark: (len(_cells(header_line, mark)), mark == default))


def column_names(header: Sequence[str]) -> list[str]:
    """The header's names made usable: stripped, numbered where missing, told apart where repeated."""
    names: list[str] = []
    for position, cell in enumerate(header, start=1):
        name = base = cell.strip() or f"column_{position}"
        copy = 1
        while name in names:
            copy += 1
            name = f"{base}_{copy}"
        names.append(name)
    return names


_JSON_RECOVERY = "Call load_dataset with an array of objects, JSON lines, CSV, TSV or Parquet."


def _null(_: str) -> None:
    return None


_DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=_null)


def _as_object(number: int, value: Any) -> SourceRow:
    if isinstance(value, dict):
        return SourceRow(number, value)
    return SourceRow(number, problem="not_an_object")


def _rows_within(document: Any, name: str) -> list[Any]:
    if isinstance(document, list):
        return document
    if isinstance(document, dict):
        wrapped = [value for value in document.values() if _is_row_list(value)]
        lists = [value for value in document.values() if isinstance(value, list)]
        if len(wrapped) == 1 and not _is_conversation(wrapped[0]):
            return list(wrapped[0])
        lengths = {len(cells) for cells in lists}
        if not wrapped and len(lists) == len(document) and len(lengths) == 1:
            return [dict(zip(document, cells, strict=True)) for cells in zip(*lists, strict=True)]
        return [document]
    raise UnreadableSource(f"{name} is JSON, but not an array of objects.", _JSON_RECOVERY)


def _is_row_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _is_conversation(rows: list[dict[str, Any]]) -> bool:
    """Turns of one conversation look like rows; the object around them is the row."""
    return {"role", "content"} <= rows[0].keys() or {"from", "value"} <= rows[0].keys()


class _Lines:
    """Lines that can be given back."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._fresh = iter(lines)
        self._returned: deque[str] = deque()

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        return self._returned.popleft() if self._returned else next(self._fresh)

    def push_back(self, lines: list[str]) -> None:
        self._returned.extendleft(reversed(lines))


def _next_record(lines: _Lines, delimiter: str) -> list[str] | None:
    """The next record that is not blank; [] at the end, None where a quote spoils it (a line is used up)."""
    used: list[str] = []

    def remembered() -> Iterator[str]:
        for line in lines:
            used.append(line)
            yield line

    try:
        for record in csv.reader(remembered(), delimiter=delimiter, strict=True):
            if record and (len(record) > 1 or record[0].strip()):
                return record
            used.clear()
    except csv.Error:
        lines.push_back(used[1:])
        return None
    return []


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []

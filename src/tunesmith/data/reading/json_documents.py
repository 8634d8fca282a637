"""JSON that is not one object a line: arrays, wrapped arrays, columns, and objects one behind the other."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from tunesmith.data.reading.json_scanner import JsonScanner
from tunesmith.data.reading.json_values import is_turn, json_row
from tunesmith.data.reading.lines import LONGEST_ROW
from tunesmith.data.reading.meter import Meter
from tunesmith.data.reading.source_row import SourceRow
from tunesmith.schemas.errors import UnreadableSource

LONGEST_WHOLE = 128_000_000
"""Bytes of a document whose rows cannot be told before all of it is read, such as columns."""

_RECOVERY = "Save it as JSON lines, one object a line, and call load_dataset again."
_FIRST_KEY = re.compile(rb'\{\s*("(?:[^"\\]|\\.){1,100}")\s*:')

Opener = Callable[[], AbstractContextManager[BinaryIO]]


@dataclass(frozen=True)
class Member:
    """A member of an object: its key, where its value begins, and that value's first byte.

    `item` is the first element of an array, read as a row; `inner` are the members of an object.
    """

    key: str
    offset: int
    first: bytes
    item: SourceRow | None = None
    inner: list[Member] = field(default_factory=list)

    @property
    def holds_rows(self) -> bool:
        """It is an array of objects that are no turns of one conversation."""
        return self.item is not None and self.item.problem is None and not is_turn(self.item.values)

    @property
    def holds_turns(self) -> bool:
        """It is one conversation."""
        return self.item is not None and is_turn(self.item.values)


def read_json_document(open_stream: Opener, name: str, split: str, meter: Meter) -> Iterator[SourceRow]:
    """The rows of a JSON text in UTF-8. Numbers count rows.

    Read are an array of objects, which may lie within an object or within an object of that; columns (arrays, or
    objects by row number, as pandas writes them); objects by row number; objects one behind the other; and a single
    object. A broken element, and the end of a text that is cut, have the problem `invalid_json`.

    Raises:
        UnreadableSource: several arrays could be the rows, or columns are not equally long or together too large.
    """
    with open_stream() as stream:
        scanner = JsonScanner(stream, LONGEST_ROW)
        members: list[Member] = []
        if scanner.peek() == b"{":
            members = _outline(scanner, 2)
        single = bool(members) and scanner.peek() == b""
    if not single:
        with open_stream() as stream:
            yield from _sequence(JsonScanner(stream, LONGEST_ROW), meter)
        return
    rows = _row_array(members, split, name)
    with open_stream() as stream:
        if rows is not None:
            scanner = JsonScanner(stream, LONGEST_ROW)
            scanner.skip_to(rows.offset + 1)
            yield from _elements(scanner, 0, meter)
        else:
            yield from _whole(stream, members, name, meter)


def _outline(scanner: JsonScanner, levels: int) -> list[Member]:
    """The members of the object ahead, walking over their values."""
    scanner.take()
    members: list[Member] = []
    while scanner.peek() not in (b"}", b""):
        if scanner.peek() != b'"':
            if scanner.peek() == b",":
                scanner.take()
                continue
            break
        key, complete = scanner.value()
        if not complete or key is None or scanner.peek() != b":":
            break
        scanner.take()
        members.append(_member(scanner, json_string(key), levels))
    if scanner.peek() == b"}":
        scanner.take()
    return members


def _member(scanner: JsonScanner, key: str, levels: int) -> Member:
    first = scanner.peek()
    offset = scanner.position
    if first == b"{" and levels > 1:
        return Member(key, offset, first, None, _outline(scanner, levels - 1))
    if first != b"[":
        scanner.value(keep=False)
        return Member(key, offset, first)
    scanner.take()
    item = None
    if scanner.peek() in (b"{", b"["):
        data, complete = scanner.value()
        item = json_row(1, data) if data is not None and complete else None
    while scanner.peek() not in (b"]", b""):
        if scanner.peek() == b"," or scanner.value(keep=False) == (None, False):
            scanner.take()
    scanner.take()
    return Member(key, offset, first, item)


def _row_array(members: list[Member], split: str, name: str) -> Member | None:
    """The member, here or one level below, that holds the rows; None when the object is no wrapper."""
    for candidates in (members, [inner for member in members for inner in member.inner]):
        if any(member.holds_turns for member in candidates):
            return None
        arrays = [member for member in candidates if member.holds_rows]
        named = [member for member in arrays if member.key == split]
        if len(arrays) == 1 or named:
            return (named or arrays)[0]
        if arrays:
            keys = ", ".join(repr(member.key[:40]) for member in arrays[:10])
            raise UnreadableSource(
                f"{name} is an object that holds {len(arrays)} arrays of objects ({keys}).",
                f"Save the one with the rows as a file of its own. {_RECOVERY}",
            )
    return None


def _sequence(scanner: JsonScanner, meter: Meter) -> Iterator[SourceRow]:
    """Arrays of objects, and objects, one behind the other."""
    while (first := scanner.peek()) != b"":
        if first == b"[":
            scanner.take()
            yield from _elements(scanner, meter.numbers, meter)
        elif first == b"{":
            yield from _elements(scanner, meter.numbers, meter, within_array=False)
        elif first == b",":
            scanner.take()
        else:
            meter.numbers += 1
            yield SourceRow(meter.numbers, problem="invalid_json")
            return


def _elements(
    scanner: JsonScanner, number: int, meter: Meter, within_array: bool = True
) -> Iterator[SourceRow]:
    """The elements ahead, to the end of their array; without one, as long as objects follow."""
    sound, learned = True, False
    while True:
        first = scanner.peek()
        if first == b",":
            scanner.take()
            continue
        if first == b"" or (first == b"]" and within_array) or (first != b"{" and not within_array):
            break
        number += 1
        data, complete = scanner.value()
        if data == b"":  # what is left of something broken
            scanner.take()
            number -= not sound
            if sound:
                yield SourceRow(number, problem="invalid_json")
            sound = False
            continue
        row = _element(scanner, number, data, complete)
        sound = row.problem is None
        if sound and not learned and data is not None:
            scanner.restart, learned = _restart_pattern(data), True
        meter.numbers = number
        yield row
    if first == b"]" and within_array:
        scanner.take()
    elif within_array and sound:
        number += 1
        yield SourceRow(number, problem="invalid_json")  # cut between two elements
    meter.numbers = number


def _element(scanner: JsonScanner, number: int, data: bytes | None, complete: bool) -> SourceRow:
    if data is None:
        return SourceRow(number, problem="row_too_large" if complete else "invalid_json")
    if not complete:
        return SourceRow(number, problem="invalid_json")
    row = json_row(number, data)
    if row.problem == "invalid_json" and scanner.restart is not None:
        # Brackets that a stray quote has hidden may have let it run into the next elements.
        found = scanner.restart.search(data, 1)
        if found is not None:
            scanner.push_back(data[found.start("next") :])
    return row


def _restart_pattern(data: bytes) -> re.Pattern[bytes] | None:
    """Where the next element begins after a broken one: with the key that the first one begins with.

    None where objects within the element begin so, too.
    """
    key = _FIRST_KEY.match(data)
    if key is None or len(re.findall(rb"\{\s*" + re.escape(key[1]), data)) > 1:
        return None
    return re.compile(rb"(?:\}|[\]\"\w]\s*,)\s*,?\s*(?P<next>\{\s*" + re.escape(key[1]) + rb"\s*:)")


def _whole(stream: BinaryIO, members: list[Member], name: str, meter: Meter) -> Iterator[SourceRow]:
    """A document that is decoded as a whole: columns, objects by row number, or a single row."""
    text = stream.read(LONGEST_WHOLE + 1)
    if len(text) > LONGEST_WHOLE:
        raise UnreadableSource(
            f"{name} is one JSON object of more than {LONGEST_WHOLE // 1_000_000} MB and has to be read as a whole.",
            _RECOVERY,
        )
    document = json_row(1, text)
    if document.problem is not None:
        meter.numbers = 1
        yield document
        return
    rows = _rows_of(document.values, members, name)
    if rows is None and len(text) > LONGEST_ROW:
        document = SourceRow(1, problem="row_too_large")
    if rows is None:
        meter.numbers = 1
        yield document
        return
    for number, values in enumerate(rows, start=1):
        meter.numbers = number
        if isinstance(values, dict):
            yield SourceRow(number, values, None, document.notes)
        else:
            yield SourceRow(number, problem="not_an_object")


def _rows_of(document: dict[str, Any], members: list[Member], name: str) -> list[Any] | None:
    """The rows of a document of columns or of objects by row number; None when it is a row itself."""
    cells = list(document.values())
    if any(member.holds_turns for member in members):
        return None
    names, data = document.get("columns"), document.get("data")
    if isinstance(names, list) and isinstance(data, list) and all(isinstance(row, list) for row in data):
        return [
            dict(zip(map(str, names), row, strict=True)) if len(row) == len(names) else None for row in data
        ]
    if all(isinstance(column, list) for column in cells):
        return _transposed(list(document), cells, name)
    if not all(isinstance(column, dict) and column for column in cells):
        return None
    if all(key.isdigit() for key in document):
        return cells
    if all(key.isdigit() for column in cells for key in column):
        numbers = list(dict.fromkeys(key for column in cells for key in column))
        return [
            {key: column[number] for key, column in document.items() if number in column}
            for number in numbers
        ]
    if len(cells) > 1 and len({frozenset(row) for row in cells}) == 1:
        return [{"key": key, **row} for key, row in document.items()]
    return None


def _transposed(names: list[str], columns: list[list[Any]], name: str) -> list[dict[str, Any]]:
    lengths = sorted({len(column) for column in columns})
    if len(lengths) > 1:
        raise UnreadableSource(
            f"{name} holds columns of different lengths (from {lengths[0]} to {lengths[-1]} values).",
            "Correct it, or save it as JSON lines, and call load_dataset again.",
        )
    return [dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True)]


def json_string(text: bytes) -> str:
    """The string that a JSON string stands for; its own spelling where it is broken."""
    try:
        return str(json.loads(text.decode("utf-8", "replace"), strict=False))
    except json.JSONDecodeError:
        return text.decode("utf-8", "replace").strip('"')

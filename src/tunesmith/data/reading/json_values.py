"""One JSON text to one row: a fast decoder first, a tolerant one for what it refuses."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from tunesmith.data.reading.source_row import JsonNumber, SourceRow

DEEPEST = 500
"""Levels of nesting; what is deeper could not be walked by recursion later."""

_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_DECODER = msgspec.json.Decoder(float_hook=JsonNumber)
decode_lines = _DECODER.decode_lines
"""JSON texts with any white space between them, strictly; raises `UNDECODABLE`."""
UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def json_row(number: int, data: bytes) -> SourceRow:
    """The row that `data`, one JSON text in UTF-8, stands for.

    Numbers that are no integers keep their spelling (`JsonNumber`). Beyond RFC 8259 there are read: NaN and
    infinities, as null; control characters within strings; an object that names a key twice, whose last value counts
    (note `duplicate_key`); escapes of unpaired surrogates, as U+FFFD (note `lone_surrogate`). A list of turns is a
    row with `messages`.
    """
    try:
        value = _DECODER.decode(data)
    except UNDECODABLE:
        return _tolerant_row(number, data)
    if (
        len(data) > 2 * DEEPEST
        and data.count(b"[") + data.count(b"{") > DEEPEST
        and _depth_of(value) > DEEPEST
    ):
        return SourceRow(number, problem="invalid_json")
    if type(value) is dict:
        if data.count(b'":') != len(value) and _names_a_key_twice(data, value):
            return SourceRow(number, value, None, ("duplicate_key",))
        return SourceRow(number, value)
    return row_of(number, value, ())


def row_of(number: int, value: Any, notes: tuple[str, ...]) -> SourceRow:
    """The row of a decoded value; `not_an_object` where it is none."""
    if isinstance(value, dict):
        return SourceRow(number, value, None, notes)
    if isinstance(value, list) and value and all(is_turn(turn) for turn in value):
        return SourceRow(number, {"messages": value}, None, notes)
    return SourceRow(number, problem="not_an_object")


def is_turn(value: Any) -> bool:
    """Whether this is a turn of a conversation, as OpenAI or ShareGPT write it."""
    return isinstance(value, dict) and (
        {"role", "content"} <= value.keys() or {"from", "value"} <= value.keys()
    )


def _tolerant_row(number: int, data: bytes) -> SourceRow:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return SourceRow(number, problem="invalid_encoding")
    notes: list[str] = []
    if "\\u" in text:
        text, lone = _without_lone_surrogates(text)
        notes += ["lone_surrogate"] * lone
    repeated: list[bool] = []

    def as_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            repeated.append(True)
        return found

    try:
        value = json.loads(
            text,
            strict=False,
            parse_float=JsonNumber,
            parse_int=_integer,
            parse_constant=_null,
            object_pairs_hook=as_dict,
        )
    except (json.JSONDecodeError, RecursionError):
        return SourceRow(number, problem="invalid_json")
    if _depth_of(value) > DEEPEST:
        return SourceRow(number, problem="invalid_json")
    notes += ["duplicate_key"] * bool(repeated)
    return row_of(number, value, tuple(notes))


def _without_lone_surrogates(text: str) -> tuple[str, bool]:
    lone = False

    def mend(found: re.Match[str]) -> str:
        nonlocal lone
        if found[1] is None:
            return found[0]
        lone = True
        return "\ufffd"

    return _ESCAPE.sub(mend, text), lone


def _names_a_key_twice(data: bytes, value: dict[str, Any]) -> bool:
    """Keys in the text, counted by the quote and colon behind each, against keys that were kept."""
    if data.count(b'":') - data.count(b'\\":') == count_keys(value):
        return False
    return "duplicate_key" in _tolerant_row(0, data).notes


def count_keys(value: Any) -> int:
    """The members of an object and of all objects within it."""
    count = 0
    waiting = [value]
    while waiting:
        inner = waiting.pop()
        if type(inner) is dict:
            count += len(inner)
            waiting.extend(inner.values())
        elif type(inner) is list:
            waiting.extend(inner)
    return count


def _depth_of(value: Any) -> int:
    depth = 0
    level = [value]
    while level:
        depth += 1
        level = [
            inner
            for outer in level
            if type(outer) in (dict, list)
            for inner in (outer.values() if type(outer) is dict else outer)
        ]
    return depth


def _integer(spelling: str) -> int | JsonNumber:
    try:
        return int(spelling)
    except ValueError:  # more digits than Python converts
        return JsonNumber(spelling)


def _null(_: str) -> None:
    return None

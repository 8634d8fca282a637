"""Rows a line: JSON lines and Python literals. A row's number is its line's; blank lines are no rows."""

from __future__ import annotations

import ast
import io
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, BinaryIO

import numpy as np

from tunesmith.data.reading.delimited import TOO_LONG
from tunesmith.data.reading.json_values import (
    DEEPEST,
    UNDECODABLE,
    count_keys,
    decode_lines,
    json_row,
    row_of,
)
from tunesmith.data.reading.meter import Meter
from tunesmith.data.reading.source_row import JsonNumber, SourceBlock, SourceRow

LONGEST_ROW = 16_000_000
"""In bytes. A longer row is counted, and passed over without being held."""
_BLOCK_BYTES = 1_000_000
_NEWLINE, _QUOTE, _COLON, _BACKSLASH, _OPEN, _CLOSE = b'\n":\\{}'
_LONGEST_LITERAL = 1_000_000
"""Python's parser takes several hundred bytes of memory for one of text."""


def read_json_lines(stream: BinaryIO, meter: Meter) -> Iterator[SourceRow]:
    """One JSON object a line, in UTF-8. `meter.numbers` counts all lines."""
    for found in json_line_blocks(stream, meter):
        if isinstance(found, SourceBlock):
            yield from found.rows()
        else:
            yield found


def json_line_blocks(stream: BinaryIO, meter: Meter) -> Iterator[SourceRow | SourceBlock]:
    """The same, with rows in which nothing is odd many at a time."""
    number = 0
    for block in _blocks(stream):
        values = _usual_values(block)
        if values is not None:
            yield SourceBlock(number + 1, values)
            number += len(values)
            continue
        for line in _lines(block):
            rows, used = _rows_of_line(number + 1, line, json_row)
            yield from rows
            number += used
    meter.numbers = number


def read_literal_lines(stream: BinaryIO, meter: Meter) -> Iterator[SourceRow]:
    """One Python dict a line, as `print(row)` writes it; each row has the note `python_repr`."""
    number = 0
    for block in _blocks(stream):
        for line in _lines(block):
            rows, used = _rows_of_line(number + 1, line, literal_row)
            yield from rows
            number += used
    meter.numbers = number


def literal_row(number: int, data: bytes) -> SourceRow:
    """The row that a line of Python source stands for. It is parsed as a literal; nothing is run."""
    try:
        text = data.decode().strip()
    except UnicodeDecodeError:
        return SourceRow(number, problem="invalid_encoding")
    if not text.startswith("{") or len(text) > _LONGEST_LITERAL:
        return json_row(number, data)
    try:
        value = _as_json(ast.literal_eval(text))
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return json_row(number, data)
    return row_of(number, value, ("python_repr",))


def text_lines(stream: BinaryIO) -> Iterator[str]:
    """Lines of UTF-8 with their ends, whichever they are. Invalid bytes become lone surrogates.

    A line longer than a row may be is cut, and ends in `TOO_LONG`.
    """
    text = io.TextIOWrapper(stream, "utf-8", errors="surrogateescape", newline="")
    try:
        for line in iter(partial(text.readline, LONGEST_ROW), ""):
            if len(line) < LONGEST_ROW or line.endswith(("\n", "\r")):
                yield line
                continue
            while (rest := text.readline(LONGEST_ROW)) and not rest.endswith(("\n", "\r")):
                pass
            yield f"{line[:1000]}{TOO_LONG}\n"
    finally:
        if not stream.closed:
            text.detach()  # or it would close the stream, which is not its own


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    """Some whole lines at a time. One longer than a row may be is cut."""
    while block := stream.read(_BLOCK_BYTES):
        if block[-1:] != b"\n":
            rest = stream.readline(LONGEST_ROW)
            block += rest
            while len(rest) == LONGEST_ROW and rest[-1:] != b"\n":
                rest = stream.readline(LONGEST_ROW)
        yield block


def _lines(block: bytes) -> list[bytes]:
    """The lines without their ends."""
    lines = block.split(b"\n")
    return lines if lines[-1] else lines[:-1]


def _rows_of_line(
    number: int, line: bytes, row: Callable[[int, bytes], SourceRow]
) -> tuple[list[SourceRow], int]:
    """The rows of a line and the lines it counts for: one that cannot be read may be several that end in CR."""
    if len(line) >= LONGEST_ROW:
        return [SourceRow(number, problem="row_too_large")], 1
    found = row(number, line)
    if found.problem is None:
        return [found], 1
    pieces = line.rstrip(b"\r").split(b"\r")
    if len(pieces) > 1:
        numbered = enumerate(pieces, start=number)
        return [row(at, piece) for at, piece in numbered if piece.strip()], len(pieces)
    return [found] if line.strip() else [], 1


def _usual_values(block: bytes) -> list[dict[str, Any]] | None:
    """What the lines hold, when each is one object that names no key twice and is not nested deeply; else None.

    The decoder takes several values in a line, and one in several lines. Where each line begins with { and ends
    with }, neither goes unnoticed: no value goes on after a } with a {, so that none spans two lines, and then there
    are as many values as lines only if each holds one.
    """
    text = np.frombuffer(block, dtype=np.uint8)
    ends = np.flatnonzero(text == _NEWLINE)
    if not len(ends) or ends[-1] != len(text) - 1:
        ends = np.append(ends, len(text))
    starts: Any = np.append(0, ends[:-1] + 1)
    lengths = ends - starts
    if (lengths < 2).any() or (lengths >= LONGEST_ROW).any():
        return None
    if (text[starts] != _OPEN).any() or (text[ends - 1] != _CLOSE).any():
        return None
    if (_counts(np.flatnonzero((text | 32) == _OPEN), ends) > DEEPEST).any():  # [ is { without that bit
        return None
    try:
        values = decode_lines(block)
    except UNDECODABLE:
        return None
    if set(map(type, values)) != {dict}:
        return None
    # As many unescaped quotes with a colon behind as there are members: no key is named twice.
    colons = np.flatnonzero(text == _COLON)
    colons = colons[text[colons - 1] == _QUOTE]
    keys = _counts(colons[text[colons - 2] != _BACKSLASH], ends).tolist()
    return values if list(map(len, values)) == keys or list(map(count_keys, values)) == keys else None


def _counts(places: Any, ends: Any) -> Any:
    """int64[lines]: how many of the places, which ascend, lie in each line; `ends` are those of the lines."""
    return np.diff(np.searchsorted(places, ends), prepend=0)


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _as_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(inner) for inner in value]
    if isinstance(value, float):
        return JsonNumber(repr(value))
    if isinstance(value, str | int | bytes | None):
        return value
    raise ValueError(type(value).__name__)  # sets, complex numbers, ...

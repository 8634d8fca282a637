"""Rows a line: JSON lines and Python literals. A row's number is its line's; blank lines are no rows."""

from __future__ import annotations

import ast
import io
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, BinaryIO

from tunesmith.data.reading.delimited import TOO_LONG
from tunesmith.data.reading.json_values import json_row, row_of
from tunesmith.data.reading.meter import Meter
from tunesmith.data.reading.source_row import JsonNumber, SourceRow

LONGEST_ROW = 16_000_000
"""In bytes. A longer row is counted, and passed over without being held."""
_LONGEST_LITERAL = 1_000_000
"""Python's parser takes several hundred bytes of memory for one of text."""


def read_json_lines(stream: BinaryIO, meter: Meter) -> Iterator[SourceRow]:
    """One JSON object a line, in UTF-8. `meter.numbers` counts all lines."""
    return _read_lines(stream, meter, json_row)


def read_literal_lines(stream: BinaryIO, meter: Meter) -> Iterator[SourceRow]:
    """One Python dict a line, as `print(row)` writes it; each row has the note `python_repr`."""
    return _read_lines(stream, meter, literal_row)


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


def _read_lines(
    stream: BinaryIO, meter: Meter, row: Callable[[int, bytes], SourceRow]
) -> Iterator[SourceRow]:
    number = 0
    for line in iter(partial(stream.readline, LONGEST_ROW), b""):
        number += 1
        if len(line) == LONGEST_ROW and line[-1:] != b"\n":
            _skip_line(stream)
            yield SourceRow(number, problem="row_too_large")
            continue
        found = row(number, line)
        if found.problem is None:
            yield found
        elif b"\r" in line[:-2]:
            pieces = line.rstrip(b"\r\n").split(b"\r")
            for piece_number, piece in enumerate(pieces, start=number):
                if piece.strip():
                    yield row(piece_number, piece)
            number += len(pieces) - 1
        elif line.strip():
            yield found
    meter.numbers = number


def _skip_line(stream: BinaryIO) -> None:
    while (rest := stream.readline(LONGEST_ROW)) and rest[-1:] != b"\n":
        pass


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

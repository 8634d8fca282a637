"""Plain text as rows of one column, `text`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tunesmith.data.reading.delimited import TOO_LONG
from tunesmith.data.reading.lines import LONGEST_ROW
from tunesmith.data.reading.source_row import SourceRow


def separates_paragraphs(sample: str) -> bool:
    """Whether blank lines stand between lines of this text, so that its rows are paragraphs and not lines."""
    lines = sample.splitlines()
    filled = [number for number, line in enumerate(lines) if line.strip()]
    return bool(filled) and filled[-1] - filled[0] + 1 > len(filled)


def read_text(lines: Iterable[str], paragraphs: bool) -> Iterator[SourceRow]:
    """A row a paragraph, or a row a line that is not blank. Numbers count rows."""
    number = 0
    for text in _paragraphs(lines) if paragraphs else lines:
        kept = text.rstrip("\r\n")
        if not kept.strip():
            continue
        number += 1
        if TOO_LONG in text or len(text) > LONGEST_ROW:
            yield SourceRow(number, problem="row_too_large")
        elif _is_valid(kept):
            yield SourceRow(number, {"text": kept})
        else:
            yield SourceRow(number, problem="invalid_encoding")


def _paragraphs(lines: Iterable[str]) -> Iterator[str]:
    held: list[str] = []
    length = 0
    for line in lines:
        if line.strip():
            length += len(line)
            if length <= LONGEST_ROW:
                held.append(line)
            else:
                held = [TOO_LONG]
        elif held:
            yield "".join(held)
            held, length = [], 0
    if held:
        yield "".join(held)


def _is_valid(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

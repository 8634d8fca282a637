"""CSV and its relatives: from lines to rows. Cells stay the text they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tunesmith.data.reading.dialects import Table
from tunesmith.data.reading.records import Records
from tunesmith.data.reading.source_row import SourceRow

TOO_LONG = "\udcfe"
"""Stands in a line for what was longer than a row may be."""


def read_delimited(lines: Iterable[str], table: Table) -> Iterator[SourceRow]:
    """The rows of a table. Numbers count records below the header, and those above it.

    A row has a `problem` when it has more or fewer cells than the header (empty ones at its end are no harm), is the
    header once more (files joined end to end), or a stray quote spoils it. After a stray quote, what follows is
    believed from the first record on that has the right number of cells and of quotes: the rest of a spoilt record
    may look like one. Bytes that are no text, kept as lone surrogates by the decoder, spoil their row.
    """
    records = Records(lines, table.dialect)
    number = 0
    for number in range(1, table.title_records + 1):
        next(records, None)
        yield SourceRow(number, problem="wrong_column_count")
    header: list[str] | None = None
    if table.has_header:
        header = next(records, None)
        if header is None:
            return
    names = column_names(header or [""] * table.columns)
    width = len(names)
    doubtful = False
    for record in records:
        number += 1
        if record is None:
            doubtful = True
            yield SourceRow(number, problem=_spoilt(records.lines_used))
        elif len(record) == width and record != header and not (doubtful and _has_odd_quote(records)):
            doubtful = False
            text = "".join(records.lines_used)
            if text.isascii() or not _is_damaged(text):
                yield SourceRow(number, dict(zip(names, record, strict=True)))
            else:
                yield SourceRow(number, problem=_spoilt(records.lines_used))
        else:
            row = _other_width(number, record, header, names, records, doubtful)
            doubtful = row.problem == "stray_quote"
            yield row


def column_names(header: Sequence[str]) -> list[str]:
    """The header's names made usable: blanks folded, numbered where missing, told apart where repeated."""
    names: dict[str, None] = {}
    copies: dict[str, int] = {}
    for position, cell in enumerate(header, start=1):
        name = base = " ".join(cell.split()) or f"column_{position}"
        while name in names:
            copies[base] = copies.get(base, 1) + 1
            name = f"{base}_{copies[base]}"
        names[name] = None
    return list(names)


def _other_width(
    number: int,
    record: list[str],
    header: list[str] | None,
    names: list[str],
    records: Records,
    doubtful: bool,
) -> SourceRow:
    """A record that is not as wide as the header, is the header, or follows a stray quote too closely."""
    width = len(names)
    if record == header:
        return SourceRow(number, problem="repeated_header")
    text = "".join(records.lines_used)
    if not text.isascii() and _is_damaged(text):
        return SourceRow(number, problem=_spoilt(records.lines_used))
    if doubtful:
        return SourceRow(number, problem="stray_quote")
    if len(record) > width and not any(record[width:]):
        return SourceRow(number, dict(zip(names, record[:width], strict=True)))
    if len(records.lines_used) > 1 and _holds_whole_record(records, width):
        records.keep_first_line()
        return SourceRow(number, problem="stray_quote")
    return SourceRow(number, problem="wrong_column_count")


def _holds_whole_record(records: Records, width: int) -> bool:
    """Whether a line within the record would be a sound record: then an unclosed quote has swallowed it."""
    return any(
        line.count('"') % 2 == 0
        and (cells := next(Records([line], records.dialect), None)) is not None
        and len(cells) == width > 1
        for line in records.lines_used[1:]
    )


def _has_odd_quote(records: Records) -> bool:
    return sum(line.count('"') for line in records.lines_used) % 2 == 1


def _is_damaged(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def _spoilt(lines: list[str]) -> str:
    text = "".join(lines)
    if TOO_LONG in text:
        return "row_too_large"
    return "invalid_encoding" if not text.isascii() and _is_damaged(text) else "stray_quote"

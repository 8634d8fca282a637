"""Whether text is a table, how it is written, and whether its first record names the columns."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from statistics import median

from tunesmith.data.reading.records import Dialect, Records

USUAL = ",;\t|"
UNUSUAL = "\x1f\x1e\x01^~¦§:"
"""Delimiters that other text holds, too: believed only where every record agrees and a header stands above."""

SAMPLE_RECORDS = 200

_STRONG = "\t|"
_GOOD_SHARE = 0.7
_SURE_SHARE = 0.9
_NAME = re.compile(r"[^\W\d]\w*([ ._/:#()-]+\w+){0,3}[ ?)#%:]*|\w*[^\W\d]\w*")
_NAME_CHARACTERS = 40
_CELL_OF_A_HEADER = 80
_NUMBER = re.compile(r"[-+]?[\d.,]*\d[\d.,]*%?")
# fmt: off
_KNOWN = frozenset(
    {
        "answer", "assistant", "bot", "category", "chosen", "class", "completion", "content",
        "context", "conversation", "conversations", "dialog", "dialogue", "human", "id", "index",
        "input", "instruction", "intent", "label", "labels", "message", "messages", "model", "name",
        "output", "prompt", "query", "question", "reference", "rejected", "response", "role",
        "score", "source", "split", "summary", "system", "target", "text", "title", "tools",
        "topic", "translation", "type", "url", "user", "uuid"
    }
)
# fmt: on


@dataclass(frozen=True)
class Table:
    """How a table is written. `title_records` stand above its header; without a header columns are numbered."""

    dialect: Dialect
    columns: int
    title_records: int = 0
    has_header: bool = True


@dataclass(frozen=True)
class _Trial:
    """The sample read in one dialect: `share` of its records have `columns` cells, `stray` were spoilt by a quote."""

    dialect: Dialect
    records: list[list[str] | None]
    columns: int
    share: float
    stray: int

    def rank(self) -> tuple[float, bool, int]:
        return (round(self.share, 2), self.dialect.delimiter in USUAL, self.columns)


def find_table(sample: str, named_as_table: bool) -> Table | None:
    """How the table that begins with `sample` is written; None where the text is no table.

    `sample` ends with a whole line or the text. A delimiter is right where records read with it have equally many
    cells; where several are, the one with more cells. `named_as_table`, by the file's suffix, settles what the text
    leaves open: one column, or two prose-like ones.
    """
    marks = [mark for mark in USUAL + UNUSUAL if mark in sample]
    trials = [trial for mark in marks if (trial := _best_trial(sample, mark)).columns > 1]
    for trial in sorted(trials, key=_Trial.rank, reverse=True):
        table = _table_of(trial)
        if _is_believable(trial, table, named_as_table):
            return table
    if not named_as_table:
        return None
    return _table_of(_best_trial(sample, ",", columns=1))


def _best_trial(sample: str, delimiter: str, columns: int | None = None) -> _Trial:
    """The plain dialect, unless stray quotes say that another reads more."""
    plain = _try(sample, Dialect(delimiter), columns)
    if not plain.stray and plain.share == 1 and "'" not in sample:
        return plain
    others = [replace(plain.dialect, spaced=True)]
    if '\\"' in sample:
        others += [Dialect(delimiter, escapes=True), Dialect(delimiter, escapes=True, spaced=True)]
    if '"' not in sample and _is_single_quoted(sample, delimiter):
        others.append(Dialect(delimiter, "'"))
    trials = [_try(sample, dialect, columns) for dialect in others]
    if _means_no_quotes(plain):
        trials.append(_try(sample, Dialect(delimiter, None), columns))
    best = max(trials, key=lambda trial: trial.share)
    return best if best.share > plain.share else plain


def _try(sample: str, dialect: Dialect, columns: int | None) -> _Trial:
    records = list(islice(_whole_records(sample, dialect), SAMPLE_RECORDS))
    widths = Counter(len(record) for record in records if record is not None)
    if columns is None:
        columns = max(widths, key=lambda width: (widths[width] * (width > 1), width), default=0)
    share = widths[columns] / len(records) if records else 0.0
    return _Trial(dialect, records, columns, share, sum(record is None for record in records))


def _whole_records(sample: str, dialect: Dialect) -> Iterator[list[str] | None]:
    return Records(io.StringIO(sample, newline=""), dialect)


def _is_single_quoted(sample: str, delimiter: str) -> bool:
    """Apostrophes stand where quotes would: at both ends of cells, in every line that has any."""
    mark = re.escape(delimiter)
    cell = re.compile(rf"(?:^|{mark})'(?:[^'\r\n]++|'')*+'(?=$|\r|{mark})", re.MULTILINE)
    rest = cell.sub("", sample)
    return rest.count("'") == 0


def _means_no_quotes(trial: _Trial) -> bool:
    """Many records are spoilt by quotes, and none needs them."""
    needed = any(
        any(mark in cell for mark in (trial.dialect.delimiter, "\n", "\r", '"'))
        for record in trial.records
        if record is not None
        for cell in record
    )
    return trial.stray >= 3 and trial.stray >= 0.05 * len(trial.records) and not needed


def _table_of(trial: _Trial) -> Table:
    records = [record for record in trial.records if record is not None]
    above = 0
    for record in trial.records:
        if record is None or len(record) >= trial.columns:
            break
        above += 1
    body = records[above:]
    return Table(trial.dialect, trial.columns, above, bool(body) and is_header(body[0], body[1:]))


def _is_believable(trial: _Trial, table: Table, named_as_table: bool) -> bool:
    records = [record for record in trial.records[table.title_records :] if record is not None]
    mark = trial.dialect.delimiter
    header = (
        bool(records) and table.has_header and all(_is_name(cell) or not cell.strip() for cell in records[0])
    )
    if mark in UNUSUAL:
        return trial.share == 1 and len(records) > 1 and header and _is_tight(records[0])
    if named_as_table:
        return trial.share >= 0.5 or header
    if mark in _STRONG and len(records) > 1:
        return trial.share >= _SURE_SHARE or (header and trial.share >= _GOOD_SHARE)
    return header and trial.share >= _GOOD_SHARE and len(records) > 1 and _is_tight(records[0])


def _is_tight(header: Sequence[str]) -> bool:
    """No blank follows a delimiter, as it does in prose."""
    return not any(cell.startswith(" ") for cell in header[1:]) or all(_is_known(cell) for cell in header)


def is_header(first: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    """Whether the first record names the columns of the others. Names it is known by decide; then what no name is.

    A record is data where a cell is long, a number, a sentence, or a value that its column has again, while not the
    whole record comes again. Where nothing speaks against it, the first record is the header, as RFC 4180 leaves it.
    """
    filled = [cell for cell in first if cell.strip()]
    if not filled:
        return False
    known = sum(_is_known(cell) for cell in filled)
    if 2 * known >= len(filled):
        return True
    again = [record for record in others if list(record) != list(first) and len(record) == len(first)]
    for position, cell in enumerate(first):
        text = cell.strip()
        if not text:
            continue
        column = [record[position].strip() for record in again]
        if (
            len(text) > _CELL_OF_A_HEADER
            or _NUMBER.fullmatch(text)
            or text[-1] in ".!?。！？"
            or text in column
        ):
            return bool(known) and len(text) <= _CELL_OF_A_HEADER and text not in column
    return not _is_like_the_rest(filled, again)


def _is_like_the_rest(first: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    """Cells of several words, as long as what stands below them, are no names."""
    if all(_is_name(cell.strip()) for cell in first):
        return False
    below = [len(cell) for record in others for cell in record if cell.strip()]
    return bool(below) and median(len(cell) for cell in first) > max(20.0, 0.5 * median(below))


def _is_name(cell: str) -> bool:
    text = cell.strip()
    return 0 < len(text) <= _NAME_CHARACTERS and _NAME.fullmatch(text) is not None


def _is_known(cell: str) -> bool:
    words = re.sub(r"[\W_]+", " ", cell.strip().lower()).split()
    return bool(words) and len(words) <= 3 and any(word.rstrip("0123456789") in _KNOWN for word in words)

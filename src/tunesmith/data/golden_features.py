"""What the choice of a golden set needs to know of every row: numbers that hang on that row alone, and no text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow.compute as pc

from tunesmith.data.parallel import Beat, Tell, ordered_map
from tunesmith.data.quality.contamination import Texts, as_texts
from tunesmith.data.quality.stored_texts import TEXT_COLUMNS, asked_and_answers
from tunesmith.data.quality.words import Words, mixed, row_sums, text_hashes
from tunesmith.data.rows import RowGroups

TOPIC_BITS = 8
SIMHASH_BITS = 64

_RESPONSE_ROLES = ("response", "completion", "text")
_PROMPT_ROLES = ("instruction", "prompt")
_SALT = np.uint64(0x2545F4914F6CDD1D)


@dataclass(frozen=True)
class Features:
    """Arrays, one entry a row.

    `identities`: uint64, equal for rows that ask the same. `answers`: uint64, equal for equal answers. `characters`:
    int64, length of question and answer. `topics`: uint8, see `simhashes`. `values`: int64 into `names`, the row's
    value in the column to stratify by; -1 where it has none or no column was named. `columns`: the extra columns.
    """

    identities: Any
    answers: Any
    characters: Any
    topics: Any
    values: Any
    names: list[str]
    columns: frozenset[str]


@dataclass(frozen=True)
class Column:
    """The column to stratify by: "prompt" or "completion", or the name of an extra column."""

    name: str
    is_own: bool


def column_named(name: str, columns: Mapping[str, str], row_kind: str) -> Column:
    """A column given as a source column or as a role. `columns` maps the dataset's roles to source columns."""
    role = next((role for role, source in columns.items() if name in (role, source)), None)
    if row_kind != "messages" and role in _RESPONSE_ROLES:
        return Column("completion", is_own=True)
    if row_kind != "messages" and role in _PROMPT_ROLES:
        return Column("prompt", is_own=True)
    return Column(name, is_own=False)


def read_features(pieces: Sequence[RowGroups], column: Column | None, workers: int, beat: Beat) -> Features:
    """Read all rows once. `beat` hears the number of pieces done. Raises as `rows.iter_rows`."""
    names: dict[str, int] = {}
    values: list[Any] = []
    found: list[Features] = []
    for part in ordered_map(partial(_of_piece, column=column), pieces, workers, beat):
        known = np.array([names.setdefault(name, len(names)) for name in part.names] + [-1], np.int64)
        values.append(known[part.values])
        found.append(part)
    return Features(
        np.concatenate([part.identities for part in found]),
        np.concatenate([part.answers for part in found]),
        np.concatenate([part.characters for part in found]),
        np.concatenate([part.topics for part in found]),
        np.concatenate(values),
        list(names),
        frozenset().union(*(part.columns for part in found)),
    )


def simhashes(texts: Texts, bits: int) -> Any:
    """uint64 SimHash of each row's words (Charikar, 2002): two rows at an angle of a° differ in a/180 of the bits.

    The vectors count word stems of question and answer, without short words. The hyperplanes come from hashes of the
    stems, never from the data: a row's bits stay what they are when other rows come or go.
    """
    question, answer = _signed_sums(texts.questions, bits), _signed_sums(texts.answers, bits)
    above = (question + answer > 0).astype(np.uint64)
    return (above << np.arange(bits, dtype=np.uint64)).sum(axis=1, dtype=np.uint64)


def _signed_sums(words: Words, bits: int) -> Any:
    """int64 (texts, bits): for each bit, stems whose hash has it minus those whose hash has not."""
    has_stem = words.stems != 0
    spread = mixed(words.stems[has_stem] ^ _SALT)
    running = np.concatenate([[0], np.cumsum(has_stem)])
    offsets = running[words.offsets]
    sums: Any = np.empty((len(words.offsets) - 1, bits), np.int64)
    for bit in range(bits):
        signs = ((spread >> np.uint64(bit)) & np.uint64(1)).astype(np.int64) * 2 - 1
        sums[:, bit] = row_sums(signs, offsets)
    return sums


def _of_piece(piece: RowGroups, tell: Tell, column: Column | None) -> Features:
    identities, answers, characters, topics = [], [], [], []
    names: dict[str, int] = {}
    values: list[int] = []
    columns: set[str] = set()
    wanted = [*TEXT_COLUMNS, "extras"] if column is not None else TEXT_COLUMNS
    done = 0
    for batch in piece.tables(wanted):
        asked, answered = asked_and_answers(batch)
        texts = as_texts(asked, answered)
        identities.append(texts.identities)
        answers.append(text_hashes(texts.answers, answered))
        lengths = pc.add(pc.utf8_length(asked), pc.utf8_length(answered))
        characters.append(lengths.to_numpy(zero_copy_only=False).astype(np.int64))
        topics.append(simhashes(texts, TOPIC_BITS).astype(np.uint8))
        for value in _values(batch, column, columns) if column is not None else [None] * len(batch):
            values.append(-1 if value is None else names.setdefault(value, len(names)))
        done += len(batch)
        tell(done / piece.rows)
    return Features(
        np.concatenate(identities),
        np.concatenate(answers),
        np.concatenate(characters),
        np.concatenate(topics),
        np.array(values, np.int64),
        list(names),
        frozenset(columns),
    )


def _values(batch: Any, column: Column, columns: set[str]) -> list[str | None]:
    """The column's value in each row; the names of all extra columns go into `columns`."""
    if column.is_own:
        return [value or None for value in batch.column(column.name).to_pylist()]
    values: list[str | None] = []
    for text in batch.column("extras").to_pylist():
        extras = json.loads(text) if text else {}
        columns.update(extras)
        values.append(extras.get(column.name))
    return values

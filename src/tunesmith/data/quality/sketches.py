"""All rows' words and sketches in scratch files: any two rows can be compared, and no text is held in memory."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tunesmith.data.parallel import Tell
from tunesmith.data.quality.openings import Openings, find_openings
from tunesmith.data.quality.shingles import Sets, band_keys, gather, join_rows, shingles
from tunesmith.data.quality.stored_texts import TEXT_COLUMNS, asked_and_answers
from tunesmith.data.quality.words import Words, split, text_hashes
from tunesmith.data.rows import RowGroups
from tunesmith.jobs.files import storage_errors

SAMPLE_ROWS = 20_000
"""Rows from which common wording is learnt."""
MOST_WORDS = 100_000
"""Of a longer question or answer only this beginning is compared."""
_PAIRS_AT_ONCE = 5_000
_WORDS_AT_ONCE = 1_000_000


def sample_openings(pieces: Sequence[RowGroups]) -> Openings:
    """The common wordings of the questions, learnt from the first rows of every piece."""
    share = -(-SAMPLE_ROWS // max(1, len(pieces)))
    questions: list[Any] = []
    for piece in pieces:
        left = share
        for batch in piece.tables(TEXT_COLUMNS):
            questions.append(asked_and_answers(batch)[0].slice(0, left))
            left -= len(questions[-1])
            if left <= 0:
                break
    words = split(pa.chunked_array(questions, pa.string()).combine_chunks())
    return find_openings(words.hashes, words.offsets)


@dataclass(frozen=True)
class SketchedPiece:
    """What a worker tells of a piece; its words and band keys lie in files."""

    words: Path
    keys: Path
    asked: Any
    answered: Any
    questions: Any


class SketchedRows:
    """All rows' words on disk, uint32: of each row its question, common wording condensed, and its answer."""

    def __init__(self, folder: Path) -> None:
        self.words = folder / "words"
        self.keys: list[tuple[Path, int]] = []
        self._parts: list[SketchedPiece] = []

    def add(self, part: SketchedPiece) -> None:
        """Take the next piece's rows in."""
        with storage_errors(self.words), part.words.open("rb") as source, self.words.open("ab") as target:
            shutil.copyfileobj(source, target)
        part.words.unlink()
        self.keys.append((part.keys, len(part.asked)))
        self._parts.append(part)

    @cached_property
    def asked(self) -> Any:
        """Words of each question, int32."""
        return np.concatenate([part.asked for part in self._parts])

    @cached_property
    def answered(self) -> Any:
        """Words of each answer, int32."""
        return np.concatenate([part.answered for part in self._parts])

    @cached_property
    def total(self) -> int:
        """How many rows there are."""
        return len(self.asked)

    @cached_property
    def starts(self) -> Any:
        """Where each row's words begin, int64."""
        ends = np.cumsum(self.asked.astype(np.int64) + self.answered)
        return np.concatenate([[0], ends[:-1]])

    @cached_property
    def questions(self) -> Any:
        """uint64 that is equal for equal questions; 0 for rows that ask nothing."""
        return np.concatenate([part.questions for part in self._parts])

    def read(self, positions: Any) -> tuple[Sets, Sets]:
        """The words of the questions, and of the answers, of some rows."""
        stored = (
            np.memmap(self.words, np.uint32, "r") if self.words.stat().st_size else np.zeros(0, np.uint32)
        )
        starts, asked, answered = self.starts[positions], self.asked[positions], self.answered[positions]
        question, answer = gather(stored, starts, asked), gather(stored, starts + asked, answered)
        return (question[0].astype(np.uint64), question[1]), (answer[0].astype(np.uint64), answer[1])

    def band(self, number: int) -> Any:
        """uint64 keys of all rows in one band."""
        return np.concatenate(
            [np.fromfile(file, np.uint64, rows, offset=8 * rows * number) for file, rows in self.keys]
        )

    def blocks(self, pairs: Any) -> list[Any]:
        """Pairs of rows, int64 (n, 2), in portions that fit into memory."""
        lengths = (self.asked + self.answered)[pairs].sum(axis=1, dtype=np.int64)
        portion = np.maximum(np.cumsum(lengths) // _WORDS_AT_ONCE, np.arange(len(pairs)) // _PAIRS_AT_ONCE)
        return np.split(pairs, np.flatnonzero(np.diff(portion)) + 1) if len(pairs) else []


def sketch(numbered: tuple[int, RowGroups], tell: Tell, openings: Openings, folder: Path) -> SketchedPiece:
    """Split a piece's rows into words and sketch them, into two files in `folder`."""
    number, piece = numbered
    words_file, keys_file = folder / f"{number}.words", folder / f"{number}.keys"
    asked, answered, questions, keys = [], [], [], []
    done = 0
    with storage_errors(words_file), words_file.open("wb") as file:
        for batch in piece.tables(TEXT_COLUMNS):
            texts = asked_and_answers(batch)
            question, answer = split(texts[0]), split(texts[1])
            (row_words, offsets), lengths = _joined(question, answer, openings)
            file.write(row_words.astype(np.uint32).tobytes())
            asked.append(lengths)
            answered.append(np.diff(offsets) - lengths)
            questions.append(np.where(question.counts > 0, text_hashes(question, texts[0]), np.uint64(0)))
            keys.append(band_keys(*shingles(row_words, offsets)))
            done += len(batch)
            tell(done / piece.rows)
        keys_file.write_bytes(np.ascontiguousarray(np.concatenate(keys).T).tobytes())
    return SketchedPiece(
        words_file,
        keys_file,
        np.concatenate(asked).astype(np.int32),
        np.concatenate(answered).astype(np.int32),
        np.concatenate(questions),
    )


def _joined(question: Words, answer: Words, openings: Openings) -> tuple[Sets, Any]:
    """The rows' words (question with common wording condensed, then answer), and the words of each question."""
    asked = _beginnings(*openings.condensed(question.hashes, question.offsets))
    return join_rows(asked, _beginnings(answer.hashes, answer.offsets)), np.diff(asked[1])


def _beginnings(hashes: Any, offsets: Any) -> Sets:
    return gather(hashes, offsets[:-1], np.minimum(np.diff(offsets), MOST_WORDS))

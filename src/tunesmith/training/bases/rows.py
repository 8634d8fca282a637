"""What choosing a base model has to know of the rows, before any tokenizer has seen them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tunesmith.data.rows import Row, iter_rows
from tunesmith.schemas.datasets import DatasetCard
from tunesmith.training.facts import DataFacts
from tunesmith.training.rendering import Rendered

CHARACTERS_PER_TOKEN = 4
"""Usual for English and vocabularies of 30,000 and more; code and other languages come to fewer."""
_SAMPLED = 2_000
_NO_EXAMPLE = Rendered([], [])


@dataclass(frozen=True)
class Extent:
    """The characters of one row: all of them, those before its first answer, and those of its answers."""

    total: int
    before: int
    answers: int


@dataclass(frozen=True)
class Rows:
    """Rows as a plan sees them, with lengths in estimated tokens. `chats`: some of them are conversations."""

    data: DataFacts
    chats: bool
    assumed: bool = False

    @property
    def count(self) -> int:
        return self.data.rows

    @property
    def longest(self) -> int:
        """The length that 99 % of the rows keep to."""
        return self.data.length_at(0.99)


def measure(card: DatasetCard, path: Path) -> Rows:
    """The dataset's rows, from at most about 2,000 of them, evenly spread."""
    stride = max(1, card.rows // _SAMPLED)
    sample = [_extent(row) for index, row in enumerate(iter_rows(path)) if index % stride == 0]
    return rows_of(sample, count=card.rows, chats=card.row_kind != "prompt_completion")


def rows_of(sample: Sequence[Extent], *, count: int, chats: bool, assumed: bool = False) -> Rows:
    """From a sample of at least one row."""
    ordered = sorted(sample, key=lambda row: row.total)
    data = DataFacts(
        rows=count,
        lengths=[_tokens(row.total) for row in ordered],
        prompt_lengths=[min(_tokens(row.before), _tokens(row.total) - 1) for row in ordered],
        dropped=0,
        example=_NO_EXAMPLE,
        loss_share=sum(row.answers for row in ordered) / max(1, sum(row.total for row in ordered)),
    )
    return Rows(data, chats, assumed)


def _extent(row: Row) -> Extent:
    answers, before = len(row.completion), len(row.prompt)
    for message in row.messages:
        length = len(message.content) + len(message.tool_calls)
        if message.role == "assistant":
            answers += length
        elif not answers:
            before += length
    return Extent(row.characters(), before, answers)


def _tokens(characters: int) -> int:
    return 1 + characters // CHARACTERS_PER_TOKEN


ASSUMED = rows_of([Extent(2044, 1022, 1022)] * 8, count=1_000, chats=False, assumed=True)
"""Where no dataset is named: a thousand rows of 512 tokens, half of which are the answer."""

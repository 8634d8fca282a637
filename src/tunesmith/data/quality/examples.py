"""A stored row as the quality checks see it: what is asked, what is answered, without templates around them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tunesmith.data.rows import Row
from tunesmith.data.templates import instruction_prompt

_BEFORE, _AFTER = instruction_prompt("\0").split("\0")
_BETWEEN = instruction_prompt("\0", "\1").split("\0")[1].split("\1")[0]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One answer and what it answers."""

    prompt: str
    answer: str


def exchanges(row: Row) -> Iterator[Exchange]:
    """Every answer that the row teaches, with what was asked just before it."""
    if not row.messages:
        yield Exchange(asked_in(row.prompt), row.completion)
        return
    asked = ""
    for turn in row.messages:
        if turn.role == "assistant":
            if turn.trains and turn.content:
                yield Exchange(asked, turn.content)
        elif turn.role != "system":
            asked = turn.content


def is_plain_text(row: Row) -> bool:
    """Whether the row is text to go on from, without a question."""
    return not row.messages and not row.prompt


def everything_said(row: Row) -> Iterator[str]:
    """Every text of the row, asked or answered."""
    if row.messages:
        yield from (turn.content for turn in row.messages if turn.content)
    else:
        if row.prompt:
            yield asked_in(row.prompt)
        yield row.completion
    if row.rejected:
        yield row.rejected


def asked_in(prompt: str) -> str:
    """What a stored prompt asks: of an instruction, its text and its input without the headings around them."""
    if not (prompt.startswith(_BEFORE) and prompt.endswith(_AFTER)):
        return prompt
    return prompt[len(_BEFORE) : -len(_AFTER)].replace(_BETWEEN, "\n", 1)

"""Prompt variants: rows with text around their prompts."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from tunesmith.data.rows import Message, Row, pick_rows, row_count
from tunesmith.jobs.paths import Store
from tunesmith.schemas.datasets import GoldenSetCard
from tunesmith.schemas.errors import InvalidArgument
from tunesmith.schemas.evaluations import PROMPT_FIELD, PromptVariant
from tunesmith.training.rendering import Renderer, RowDropped

POOL_ROWS = 512
"""Training rows that examples are drawn from: a sample, which is the same for all variants."""
BETWEEN_EXAMPLES = ("\n\n", "\n\n---\n\n", "\n\n#####\n\n")
"""What stands between examples in plain text: the first that no example's answer has inside."""


@dataclass(frozen=True)
class Around:
    """A golden set's rows with a variant around them.

    `until`: where in plain text a next example would begin, so that an answer ends there; None in chats.
    """

    rows: list[Row]
    until: str | None = None


class Variants:
    """Puts variants around the rows of one golden set, for one model."""

    def __init__(
        self,
        store: Store,
        card: GoldenSetCard,
        renderer: Renderer,
        variants: Sequence[PromptVariant],
        room: int,
    ) -> None:
        """`variants` are those that will be asked for; `room` is how many tokens examples may take together.

        Raises:
            InvalidArgument: there are not as many training rows that can serve as examples.
            UnknownHandle, UnreadableSource: the golden set's training rows are gone.
        """
        self._renderer = renderer
        self._in_text = card.row_kind == "prompt_completion"
        most = max((variant.few_shot for variant in variants), default=0)
        self._pool = _pool(store, card, renderer, most, room // most) if most else []
        self._between = next(
            (mark for mark in BETWEEN_EXAMPLES if not any(mark in shown.answer for shown in self._pool)),
            BETWEEN_EXAMPLES[-1],
        )

    def around(self, rows: Sequence[Row], variant: PromptVariant) -> Around:
        """The rows with the variant around each one's prompt.

        In a chat the examples are turns of their own, which carry no loss, and the template is about the last message
        before the answer.
        """
        if variant.is_plain:
            return Around(list(rows))
        examples = random.Random(variant.seed).sample(self._pool, variant.few_shot)
        filled = [
            _chat(row, examples, variant.template)
            if self._renderer.is_chat(row)
            else _text(row, examples, variant.template, self._between)
            for row in rows
        ]
        placed = put_before(self._renderer, filled, variant.system) if variant.system else filled
        return Around(placed, self._between if examples and self._in_text else None)


def put_before(renderer: Renderer, rows: Sequence[Row], prompt: str) -> list[Row]:
    """The rows with `prompt` before each row's own: in a chat as (part of) its system message, else as text.

    Text is set off by an empty line, unless `prompt` ends in white space of its own. Where a chat template
    refuses or ignores system messages, the text goes before the first message.
    """
    lead = prompt if prompt[-1:].isspace() else f"{prompt}\n\n"
    chats = [row for row in rows if renderer.is_chat(row)]
    with_system = bool(chats) and _takes_system(renderer, chats[0], _with_system(chats[0], prompt, lead))
    return [
        structs.replace(row, prompt=lead + row.prompt)
        if not renderer.is_chat(row)
        else _with_system(row, prompt, lead)
        if with_system
        else _with_lead(row, lead)
        for row in rows
    ]


@dataclass(frozen=True)
class _Example:
    """A solved training row."""

    question: str
    answer: str


def _pool(store: Store, card: GoldenSetCard, renderer: Renderer, most: int, longest: int) -> list[_Example]:
    """Training rows that can be shown, in an order that stays the same: one answer to one message, and at most
    `longest` tokens; at least `most` of them."""
    path = store.handle(card.train_dataset_id).rows
    count = row_count(path)
    places = random.Random(card.golden_set_id).sample(range(count), min(count, POOL_ROWS))
    found = pick_rows(path, places)
    pool = [
        example
        for row in found
        if (example := _example(renderer, row)) is not None and _fits(renderer, row, longest)
    ]
    if len(pool) < most:
        raise InvalidArgument(
            f"few_shot={most} is more than can be shown: of {len(found)} training rows of {card.train_dataset_id} that "
            f"were looked at, {len(pool)} have one answer to one message and at most {longest} tokens.",
            "Call evaluate_model with a smaller few_shot.",
        )
    return pool


def _example(renderer: Renderer, row: Row) -> _Example | None:
    if not renderer.is_chat(row):
        return _Example(row.prompt, row.completion)
    turns = [turn for turn in row.messages if turn.role != "system"]
    if [turn.role for turn in turns] != ["user", "assistant"] or turns[1].tool_calls:
        return None
    return _Example(turns[0].content, turns[1].content)


def _fits(renderer: Renderer, row: Row, longest: int) -> bool:
    try:
        return len(renderer.render(row).input_ids) <= longest
    except RowDropped:
        return False


def _text(row: Row, examples: Sequence[_Example], template: str, between: str) -> Row:
    fill = _filler(template)
    shown = [fill(example.question) + example.answer + between for example in examples]
    return structs.replace(row, prompt="".join([*shown, fill(row.prompt)]))


def _chat(row: Row, examples: Sequence[_Example], template: str) -> Row:
    fill = _filler(template)
    lead = [turn for turn in row.messages[:1] if turn.role == "system"]
    last = max((place for place, turn in enumerate(row.messages) if turn.role == "user"), default=-1)
    own = [
        replace(turn, content=fill(turn.content)) if place == last else turn
        for place, turn in enumerate(row.messages)
    ][len(lead) :]
    shown = [
        turn
        for example in examples
        for turn in (
            Message("user", fill(example.question)),
            Message("assistant", example.answer, trains=False),
        )
    ]
    return structs.replace(row, messages=(*lead, *shown, *own))


def _filler(template: str) -> Callable[[str], str]:
    """Every other brace of a template is text: prompts that ask for JSON are full of them."""
    return (lambda prompt: template.replace(PROMPT_FIELD, prompt)) if template else (lambda prompt: prompt)


def _with_system(row: Row, prompt: str, lead: str) -> Row:
    if row.messages[0].role == "system":
        return _with_lead(row, lead)
    return structs.replace(row, messages=(Message("system", prompt), *row.messages))


def _with_lead(row: Row, lead: str) -> Row:
    first = row.messages[0]
    return structs.replace(row, messages=(replace(first, content=lead + first.content), *row.messages[1:]))


def _takes_system(renderer: Renderer, row: Row, row_with_system: Row) -> bool:
    try:
        return renderer.prompt_ids(row_with_system) != renderer.prompt_ids(row)
    except RowDropped:
        return False

"""A golden set's rows as a model is given them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tunesmith.data.rows import Row, read_rows
from tunesmith.jobs.files import read_document
from tunesmith.jobs.paths import Store
from tunesmith.jobs.snapshot import Observer
from tunesmith.schemas.datasets import GoldenSetCard
from tunesmith.schemas.enums import Half, RunState
from tunesmith.schemas.errors import NoRows, NotReady
from tunesmith.training.rendering import NO_LOSS, Rendered, Renderer, RowDropped


@dataclass(frozen=True)
class GoldenRow:
    """One held-out row: what is scored, what an answer is written behind, and what it should be.

    `answer_bytes` is the length in UTF-8 of the text that the loss tokens spell where they stand, control tokens aside.
    """

    number: int
    rendered: Rendered
    prompt_ids: list[int]
    reference: str
    reference_tokens: int
    answer_bytes: int


@dataclass(frozen=True)
class GoldenRows:
    """The rows that the model can be given, and how many it cannot, by reason."""

    rows: list[GoldenRow]
    dropped: dict[str, int]


def read_half(store: Store, golden_set_id: str, half: Half) -> tuple[GoldenSetCard, list[Row]]:
    """A golden set's card and the rows of one half.

    Raises:
        UnknownHandle, NotReady: there is no such golden set, or it is not finished.
        NoRows: the half is empty.
        UnreadableSource: its file is damaged.
    """
    paths = store.handle(golden_set_id)
    state = Observer(store).look(golden_set_id).state
    card = read_document(paths.result, GoldenSetCard)
    if state is not RunState.SUCCEEDED or card is None:
        raise NotReady(
            f"{golden_set_id} is not finished: its state is {state.value}.",
            f'Call get_status with run_id="{golden_set_id}", or build_golden_set again.',
        )
    rows = read_rows(paths.half(half))
    if not rows:
        raise NoRows(
            f"The {half.value} half of {golden_set_id} has no rows.",
            "Call build_golden_set with a larger size, or evaluate on the other half.",
        )
    return card, rows


def render_rows(renderer: Renderer, rows: Iterable[Row]) -> GoldenRows:
    """The rows as tokens; those that the model cannot be given are counted by reason."""
    rendered: list[GoldenRow] = []
    dropped: Counter[str] = Counter()
    for row in rows:
        try:
            tokens = renderer.render(row)
            reference = renderer.reference(row)
            rendered.append(
                GoldenRow(
                    number=row.number,
                    rendered=tokens,
                    prompt_ids=renderer.prompt_ids(row),
                    reference=reference,
                    reference_tokens=len(renderer.tokenizer.encode(reference, add_special_tokens=False)),
                    answer_bytes=_answer_bytes(renderer.tokenizer, tokens),
                )
            )
        except RowDropped as drop:
            dropped[drop.reason] += 1
    return GoldenRows(rendered, dict(dropped))


def _answer_bytes(tokenizer: Any, rendered: Rendered) -> int:
    """What the loss tokens add to the text before them: a word's leading space is told only in its place."""
    total = start = 0
    labels = [*rendered.labels, NO_LOSS]
    for place, label in enumerate(labels):
        carries, carried = label != NO_LOSS, place > 0 and labels[place - 1] != NO_LOSS
        if carries and not carried:
            start = place
        elif carried and not carries:
            total += _text_bytes(tokenizer, rendered.input_ids[:place]) - _text_bytes(
                tokenizer, rendered.input_ids[:start]
            )
    return max(total, 0)


def _text_bytes(tokenizer: Any, ids: list[int]) -> int:
    text = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return len(text.encode("utf-8", errors="replace"))

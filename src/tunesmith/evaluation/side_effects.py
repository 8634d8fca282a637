"""What a tuning has done beside what it was for: to general text, to slices of the rows, to the ends of answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from tunesmith.data.rows import Row, read_rows
from tunesmith.diagnosis.history import RunHistory
from tunesmith.diagnosis.verdicts import (
    Paired,
    answers_are_empty,
    answers_do_not_end,
    forgetting,
    poor_slices,
    trained_on_held_out,
)
from tunesmith.evaluation.golden import GoldenRow, render_rows
from tunesmith.evaluation.metrics import RowScore, differences
from tunesmith.evaluation.seen_rows import Seen
from tunesmith.evaluation.subject import Subject
from tunesmith.jobs.files import read_document
from tunesmith.jobs.paths import Store
from tunesmith.schemas.datasets import DatasetCard, GoldenSetCard, RowKind
from tunesmith.schemas.enums import RunState
from tunesmith.schemas.evaluations import Retention
from tunesmith.schemas.runs import Finding
from tunesmith.training.rendering import Renderer

ANSWER_COLUMN = "completion"
"""What golden sets call the answer where they are stratified by it."""


def retention_rows(store: Store, card: GoldenSetCard, tokenizer: Any, limit: int) -> list[GoldenRow]:
    """The general text beside a golden set, as the model is given it; empty where there is none."""
    if not card.retention_rows:
        return []
    stored = read_rows(store.handle(card.golden_set_id).retention)
    kind: RowKind = "messages" if stored and stored[0].messages else "prompt_completion"
    return render_rows(Renderer(tokenizer, kind, limit), stored).rows


def retention_of(base: Sequence[RowScore], tuned: Sequence[RowScore]) -> Retention | None:
    """The losses on general text before and after; None without such rows."""
    if not tuned:
        return None
    before, after = _loss(base), _loss(tuned)
    return Retention(
        rows=len(tuned), base=before, tuned=after, difference=differences(base, tuned, ["loss"])["loss"]
    )


def findings(
    store: Store,
    subject: Subject,
    card: GoldenSetCard,
    stored: Sequence[Row],
    base: Sequence[RowScore],
    tuned: Sequence[RowScore],
    retention: Retention | None,
    seen: Seen | None = None,
) -> list[Finding]:
    """What is to be told of a run's side effects, with the call that would address each.

    `stored` are the golden rows as they were read; `base` and `tuned` the scores of those that could be scored.
    """
    history = _history(store, subject)
    stopped = [row.answer["stopped"] for row in tuned if "stopped" in row.answer]
    found = [
        answers_do_not_end(history, round(sum(stopped)), len(stopped)),
        answers_are_empty(history, _empty(tuned), len(stopped), _empty(base)),
    ]
    if seen is not None:
        found.insert(
            0,
            trained_on_held_out(
                history, card.golden_set_id, card.train_dataset_id, seen.rows, seen.of, seen.spoils
            ),
        )
    if retention is not None:
        change = retention.difference
        paired = Paired(retention.rows, retention.base, retention.tuned, change.low, change.high)
        found.append(forgetting(history, paired))
    if card.stratify_by is not None:
        found += poor_slices(history, card.stratify_by, _slices(card.stratify_by, stored, base, tuned))
    return [finding for finding in found if finding is not None]


def _empty(rows: Sequence[RowScore]) -> int:
    """Answers of which the first token was the end."""
    told = [row.answer for row in rows if {"answer_tokens", "stopped"} <= row.answer.keys()]
    return sum(answer["stopped"] == 1 and answer["answer_tokens"] <= 1 for answer in told)


def _slices(
    column: str, stored: Sequence[Row], base: Sequence[RowScore], tuned: Sequence[RowScore]
) -> dict[str, Paired]:
    values = {row.number: _value(row, column) for row in stored}
    places: dict[str, list[int]] = defaultdict(list)
    for place, row in enumerate(tuned):
        if (value := values.get(row.row)) is not None:
            places[value].append(place)
    slices = {}
    for value, at in places.items():
        before, after = [base[place] for place in at], [tuned[place] for place in at]
        change = differences(before, after, ["loss"])["loss"]
        slices[value] = Paired(len(at), _loss(before), _loss(after), change.low, change.high)
    return slices


def _value(row: Row, column: str) -> str | None:
    if column == ANSWER_COLUMN and not row.messages:
        return row.completion.strip()
    return row.extras.get(column)


def _history(store: Store, subject: Subject) -> RunHistory:
    """Of a run that has ended: what proposals are made from."""
    plan = subject.plan
    trained_on = None if plan is None else read_document(store.handle(plan.dataset_id).result, DatasetCard)
    return RunHistory(
        run_id=subject.name,
        state=RunState.SUCCEEDED,
        train=(),
        evaluations=(),
        base_eval_loss=None,
        total_steps=None,
        plan=plan,
        card=trained_on,
    )


def _loss(rows: Sequence[RowScore]) -> float:
    """Nats per token."""
    return sum(row.loss for row in rows) / max(1, sum(row.tokens for row in rows))

"""One model on the golden rows: token losses, and answers where they are asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from tunesmith.evaluation.generation import Decoding, Prompt, Written, context_tokens, generate
from tunesmith.evaluation.golden import GoldenRow
from tunesmith.evaluation.grading import Grade, Grader
from tunesmith.evaluation.metrics import RowScore
from tunesmith.evaluation.scoring import score
from tunesmith.jobs.context import JobContext, Stopped
from tunesmith.schemas.errors import UnsupportedModel

MAX_ROW_TOKENS = 4096
"""Rows are cut here where the model's context would allow more, as scoring has to end some day."""
MAX_ANSWER_TOKENS = 512
"""No answer is written where the reference is longer."""
ANSWER_MARGIN_TOKENS = 16
"""What an answer may have beside half as much again as its reference."""


@dataclass
class Progress:
    """Counts rows over all passes, tells the journal, and ends the work when somebody asked for that."""

    job: JobContext
    total: int
    done: int = 0

    def __call__(self, rows: int) -> None:
        """Take `rows` more as done.

        Raises:
            Stopped: a stop was requested.
        """
        self.done += rows
        self.job.progress(self.done, self.total)
        if self.job.stop_requested():
            raise Stopped


def row_limit(model: Any) -> int:
    """Longest row in tokens: what fits into the model's context, and `MAX_ROW_TOKENS` at most."""
    return min(context_tokens(model), MAX_ROW_TOKENS)


def answerable(rows: Sequence[GoldenRow], limit: int) -> list[int]:
    """Places of the rows whose whole reference fits behind their prompt within `limit` tokens."""
    return [
        place
        for place, row in enumerate(rows)
        if not row.rendered.truncated
        and row.reference_tokens <= MAX_ANSWER_TOKENS
        and len(row.prompt_ids) + row.reference_tokens < limit
    ]


@dataclass(frozen=True)
class Measured:
    """The score of each row, and what was written, by the row's place."""

    rows: list[RowScore]
    written: dict[int, Written]


def measure(
    model: Any,
    tokenizer: Any,
    rows: Sequence[GoldenRow],
    answers: Sequence[int],
    grader: Grader,
    stop_ids: Sequence[int],
    progress: Progress,
    until: str | None = None,
) -> Measured:
    """The score of each row; answers are written and graded at the places in `answers`, and end at the text `until`.

    Raises:
        UnsupportedModel: the losses are no numbers.
        Stopped: a stop was requested.
    """
    losses = score(model, [row.rendered for row in rows], progress)
    broken = sum(not math.isfinite(token.loss) for token in losses)
    if broken:
        raise UnsupportedModel(
            f"The model's loss is not a number on {broken} of {len(rows)} rows: its weights are damaged, "
            "or a training "
            "that diverged left them so.",
            "Use another run or base model; for a run, call configure_lora with a lower learning_rate.",
        )
    texts = _write(model, tokenizer, [rows[at] for at in answers], stop_ids, progress)
    written = dict(zip(answers, [_ended(text, until) for text in texts], strict=True))
    nothing = Grade({})
    grades = {place: grader.grade(answer, rows[place].reference) for place, answer in written.items()}
    return Measured(
        [
            RowScore(
                row=row.number,
                loss=token.loss,
                tokens=token.tokens,
                correct=token.correct,
                size=row.answer_bytes,
                answer=grades.get(place, nothing).figures,
                label=grades.get(place, nothing).label,
                predicted=grades.get(place, nothing).predicted,
            )
            for place, (row, token) in enumerate(zip(rows, losses, strict=True))
        ],
        written,
    )


def _ended(answer: Written, until: str | None) -> Written:
    """A model that was shown examples goes on with a next one: that is how it says that its answer is over."""
    if not until or until not in answer.text:
        return answer
    return replace(answer, text=answer.text.partition(until)[0], stopped="eos")


def answer_room(reference_tokens: int) -> int:
    """How many tokens an answer may have: enough to see that one does not stop, or says more than was asked."""
    return reference_tokens * 3 // 2 + ANSWER_MARGIN_TOKENS


def _write(
    model: Any,
    tokenizer: Any,
    rows: Sequence[GoldenRow],
    stop_ids: Sequence[int],
    progress: Progress,
) -> list[Written]:
    if not rows:
        return []
    return generate(
        model,
        tokenizer,
        [Prompt(row.prompt_ids, answer_room(row.reference_tokens)) for row in rows],
        Decoding(stop_ids),
        on_batch=progress,
        interrupted=progress.job.stop_requested,
    )

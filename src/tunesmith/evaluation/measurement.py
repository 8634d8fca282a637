"""One model on the golden rows: token losses, and answers where they are asked for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.evaluation.generation import Decoding, Prompt, context_tokens, generate
from tunesmith.evaluation.golden import GoldenRow
from tunesmith.evaluation.metrics import RowScore, is_exact
from tunesmith.evaluation.scoring import score
from tunesmith.jobs.context import JobContext, Stopped
from tunesmith.schemas.errors import UnsupportedModel

MAX_ROW_TOKENS = 4096
"""Rows are cut here where the model's context would allow more, as scoring has to end some day."""
MAX_ANSWER_TOKENS = 512
"""Longer references are left out of exact_match."""
ANSWER_MARGIN_TOKENS = 8
"""How much longer than its reference an answer may get: with more it cannot match any longer."""


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


def measure(
    model: Any,
    tokenizer: Any,
    rows: Sequence[GoldenRow],
    answers: Sequence[int],
    stop_ids: Sequence[int],
    progress: Progress,
) -> list[RowScore]:
    """The score of each row; `exact` is known at the places in `answers`.

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
    exact = dict(
        zip(answers, _exact(model, tokenizer, [rows[at] for at in answers], stop_ids, progress), strict=True)
    )
    return [
        RowScore(row.number, token.loss, token.tokens, token.correct, exact.get(place))
        for place, (row, token) in enumerate(zip(rows, losses, strict=True))
    ]


def _exact(
    model: Any,
    tokenizer: Any,
    rows: Sequence[GoldenRow],
    stop_ids: Sequence[int],
    progress: Progress,
) -> list[bool]:
    if not rows:
        return []
    written = generate(
        model,
        tokenizer,
        [Prompt(row.prompt_ids, row.reference_tokens + ANSWER_MARGIN_TOKENS) for row in rows],
        Decoding(stop_ids),
        on_batch=progress,
        interrupted=progress.job.stop_requested,
    )
    return [is_exact(answer.text, row.reference) for answer, row in zip(written, rows, strict=True)]

"""The rows that a model does worst on, to look at."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tunesmith.evaluation.generation import Written
from tunesmith.evaluation.golden import GoldenRow
from tunesmith.evaluation.metrics import RowScore
from tunesmith.jobs.scrub import scrub
from tunesmith.schemas.evaluations import REGEX, Example

SHOWN_ROWS = 5
SHOWN_CHARACTERS = 300
_PROMPT_TOKENS = 200
_TELLING = ("json_fields", "accuracy", "token_f1", "exact_match", "rouge_l", "chrf", "json_valid")
"""What tells a bad answer from a good one, the finest first."""


def worst_examples(
    tokenizer: Any,
    golden: Sequence[GoldenRow],
    rows: Sequence[RowScore],
    written: Mapping[int, Written],
    metrics: Sequence[str],
    shown: Collection[int],
) -> list[Example]:
    """At most `SHOWN_ROWS` of the rows with the numbers `shown`: wrong answers, the worst first, or the highest losses
    per token where none was written.

    Of answers that are equally wrong those with the highest loss come first. Texts are scrubbed and shortened; of
    a prompt its end is shown.
    """
    metric = _telling(metrics)
    if metric is None:
        allowed = [place for place, row in enumerate(rows) if row.row in shown]
        places = sorted(allowed, key=lambda place: -_loss(rows[place]))
    else:
        wrong = [place for place in written if rows[place].row in shown and rows[place].answer[metric] < 1.0]
        places = sorted(wrong, key=lambda place: (rows[place].answer[metric], -_loss(rows[place])))
    return [
        Example(
            row=rows[place].row,
            loss=_loss(rows[place]),
            metric=metric,
            score=None if metric is None else rows[place].answer[metric],
            untrusted_prompt=_prompt(tokenizer, golden[place]),
            untrusted_reference=scrub(golden[place].reference, SHOWN_CHARACTERS),
            untrusted_answer=scrub(written[place].text, SHOWN_CHARACTERS) if place in written else None,
        )
        for place in places[:SHOWN_ROWS]
    ]


def _telling(metrics: Sequence[str]) -> str | None:
    patterns = [name for name in metrics if name.startswith(REGEX)]
    return next((name for name in (*_TELLING, *patterns) if name in metrics), None)


def _loss(row: RowScore) -> float:
    return row.loss / row.tokens


def _prompt(tokenizer: Any, row: GoldenRow) -> str:
    text = tokenizer.decode(row.prompt_ids[-_PROMPT_TOKENS:], skip_special_tokens=True)
    cut = len(row.prompt_ids) > _PROMPT_TOKENS or len(text) > SHOWN_CHARACTERS
    return ("…" if cut else "") + scrub(text[-SHOWN_CHARACTERS:], SHOWN_CHARACTERS)

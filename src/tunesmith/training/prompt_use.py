"""Does the model look at the prompt? Held-out answers behind their own prompts, and behind those of other rows.

A model that was trained on answers that are not their prompts' finds both as likely (diagnosis/data_rules.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tunesmith.jobs.context import JobContext
from tunesmith.training.dev_loss import dev_loss
from tunesmith.training.rendering import NO_LOSS, Rendered

ROWS = 32


@dataclass(frozen=True)
class PromptUse:
    """The same answers in the same order: `own` behind their own prompts, `swapped` behind others'."""

    own: list[Rendered]
    swapped: list[Rendered]
    base: dict[str, float] = field(default_factory=dict)
    """The base's losses on both."""

    def score_base(self, model: Any) -> None:
        """Take the losses of the base, before anything is attached to it."""
        if self.own:
            own, swapped = self._losses(model)
            self.base.update(base_own_loss=own, base_swapped_loss=swapped)

    def tell(self, job: JobContext, step: int, model: Any) -> None:
        """Score both and tell the journal; nothing is told where there are no such rows."""
        if not self.own:
            return
        own, swapped = self._losses(model)
        figures: dict[str, Any] = {"own_loss": own, "swapped_loss": swapped, **self.base}
        job.journal.append("prompt_use", step=step, rows=len(self.own), **figures)

    def _losses(self, model: Any) -> tuple[float, float]:
        own, swapped = (dev_loss(model, rows, lambda _: None).loss for rows in (self.own, self.swapped))
        return own, swapped


def prompt_use_of(rows: Sequence[Rendered], max_length: int) -> PromptUse:
    """Of the first rows those with a prompt and one answer, each with the prompt of the next row that is answered
    otherwise. What would be longer than `max_length` is left out."""
    parts = [part for row in rows[: 2 * ROWS] if (part := _parts(row)) is not None]
    found = PromptUse([], [])
    for place, (prompt, answer, own) in enumerate(parts):
        others = (parts[(place + ahead) % len(parts)] for ahead in range(1, len(parts)))
        other = next((other for other, answered, _ in others if answered != answer and other != prompt), None)
        if other is not None and len(other) + len(answer) <= max_length and len(found.own) < ROWS:
            found.own.append(own)
            found.swapped.append(Rendered([*other, *answer], [NO_LOSS] * len(other) + answer))
    return found


def _parts(row: Rendered) -> tuple[list[int], list[int], Rendered] | None:
    """The prompt's tokens, the answer's, and the row; None where it has no prompt, or several answers."""
    learned = [place for place, label in enumerate(row.labels) if label != NO_LOSS]
    if not learned or learned[0] < 2 or learned[-1] - learned[0] + 1 != len(learned):
        return None
    start, end = learned[0], learned[-1] + 1
    return row.input_ids[:start], row.input_ids[start:end], row

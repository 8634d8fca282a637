"""One model before the rows of one half of a golden set, bare or behind any prompt variant."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.data.rows import Row
from tunesmith.evaluation.generation import stop_ids
from tunesmith.evaluation.golden import GoldenRow, GoldenRows, render_rows
from tunesmith.evaluation.grading import Grader
from tunesmith.evaluation.measurement import Measured, Progress, answerable, measure, row_limit
from tunesmith.evaluation.metric_choice import choose_metrics
from tunesmith.evaluation.scoring import occupied_positions
from tunesmith.evaluation.subject import Subject
from tunesmith.evaluation.variants import Variants
from tunesmith.jobs.context import JobContext
from tunesmith.schemas.datasets import GoldenSetCard
from tunesmith.schemas.errors import EmptyMask, InvalidArgument
from tunesmith.schemas.evaluations import Cost, PromptVariant
from tunesmith.training.rendering import Renderer

_MOST_ROWS = 0.9
"""Examples leave room for so many of the rows, where rows differ in length."""


@dataclass(frozen=True)
class Given:
    """Rows as the model is given them: `answers` are the places of those that it writes an answer to, each of which
    ends at the text `until`."""

    golden: GoldenRows
    answers: list[int]
    until: str | None

    @property
    def rows(self) -> list[GoldenRow]:
        return self.golden.rows

    @property
    def passes(self) -> int:
        """How many rows are read, and read and answered."""
        return len(self.rows) + len(self.answers)


class Examiner:
    """Renders, measures and grades in the metrics that suit the rows; the same way whatever stands around them."""

    def __init__(
        self,
        job: JobContext,
        subject: Subject,
        card: GoldenSetCard,
        stored: Sequence[Row],
        metrics: Sequence[str],
        variants: Sequence[PromptVariant],
    ) -> None:
        """`metrics` are those that were named, `variants` those that will be asked for.

        Raises:
            InvalidArgument: a metric does not fit, no answer can be written for it, or there are too few examples.
            EmptyMask: no row can be given to the model, even bare.
        """
        self.subject = subject
        self.limit = row_limit(subject.model)
        self.renderer = Renderer(subject.tokenizer, card.row_kind, self.limit)
        self._card, self._stored = card, stored
        self.stops = sorted({*stop_ids(subject.model, subject.tokenizer), *self.renderer.stop_ids()})
        golden = render_rows(self.renderer, stored)
        rows = self._required(golden)
        lengths = sorted(len(row.rendered.input_ids) for row in rows)
        room = self.limit - lengths[int(_MOST_ROWS * (len(lengths) - 1))]
        self._variants = Variants(job.store, card, self.renderer, variants, room)
        self.choice = choose_metrics(
            metrics, [row.reference for row in rows], [row.reference_tokens for row in rows]
        )
        self._plain = Given(golden, self._answerable(rows), None)
        self.grader = Grader(self.choice.metrics, [rows[place].reference for place in self._plain.answers])

    def given(self, variant: PromptVariant | None) -> Given:
        """All rows behind a variant.

        Raises:
            EmptyMask, InvalidArgument: none of them can be given to the model, or answered.
        """
        if variant is None or variant.is_plain:
            return self._plain
        around = self._variants.around(self._stored, variant)
        golden = render_rows(self.renderer, around.rows)
        return Given(golden, self._answerable(self._required(golden)), around.until)

    def some(self, variant: PromptVariant, numbers: Collection[int], answered: bool) -> Given | None:
        """The rows with these numbers behind a variant, to be answered or only read; None where one of them does not
        leave room for that."""
        around = self._variants.around([row for row in self._stored if row.number in numbers], variant)
        golden = render_rows(self.renderer, around.rows)
        answers = answerable(golden.rows, self.limit)
        if len(answers if answered else golden.rows) < len(numbers):
            return None
        return Given(golden, answers if answered else [], around.until)

    def numbers(self, answered: bool) -> list[int]:
        """The numbers of the rows that can be read, or answered too, when they are bare."""
        rows = self._plain.rows
        places = answerable(rows, self.limit) if answered else range(len(rows))
        return [rows[place].number for place in places]

    def measure(self, model: Any, given: Given, progress: Progress) -> Measured:
        """The scores of a model on them. Raises as `measurement.measure`."""
        return measure(
            model,
            self.subject.tokenizer,
            given.rows,
            given.answers,
            self.grader,
            self.stops,
            progress,
            given.until,
        )

    def cost(self, given: Given, measured: Measured, model: Any, making_tokens: int) -> Cost:
        """What it takes to ask the model like that. `model` may have learned tokens of its own before each prompt."""
        lengths = [answer.new_tokens for answer in measured.written.values()]
        prompts = [len(row.prompt_ids) for row in given.rows]
        return Cost(
            prompt_tokens=sum(prompts) / len(prompts) + occupied_positions(model),
            answer_tokens=sum(lengths) / len(lengths) if lengths else None,
            making_tokens=making_tokens,
        )

    def _required(self, golden: GoldenRows) -> list[GoldenRow]:
        if not golden.rows:
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(golden.dropped.items()))
            raise EmptyMask(
                f"None of the rows of {self._card.golden_set_id} can be given to the model within {self.limit} tokens "
                f"({reasons}).",
                "Use a shorter prompt, a model with a longer context, or a golden set of shorter rows.",
            )
        return golden.rows

    def _answerable(self, rows: Sequence[GoldenRow]) -> list[int]:
        """Places of the rows that answers are written for; none where every metric is read."""
        if not self.choice.written:
            return []
        places = answerable(rows, self.limit)
        if not places:
            raise InvalidArgument(
                f"No answer can be written for {', '.join(self.choice.written)}: every reference is too long, "
                f"or does not fit behind its prompt into {self.limit} tokens.",
                'Call evaluate_model with metrics=["loss", "bits_per_byte"].',
            )
        return places

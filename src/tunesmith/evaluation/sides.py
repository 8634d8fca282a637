"""The two sides of an evaluation: the candidate, and what it is compared with, on the same rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.evaluation.examiner import Examiner, Given
from tunesmith.evaluation.golden import GoldenRow
from tunesmith.evaluation.measurement import Measured, Progress, measure
from tunesmith.evaluation.metrics import RowScore
from tunesmith.evaluation.side_effects import retention_of, retention_rows
from tunesmith.jobs.context import JobContext
from tunesmith.schemas.datasets import GoldenSetCard
from tunesmith.schemas.evaluations import Cost, PromptSearch, PromptVariant, Retention
from tunesmith.schemas.plans import Plan


@dataclass(frozen=True)
class Sides:
    """`given` and `tuned` are the candidate's rows and scores; `base` the scores of the other side, by row number.

    `is_run_and_base`: the other side is a run's base behind the same prompt; otherwise it is the same model without it.
    """

    given: Given
    tuned: Measured
    base: dict[int, RowScore] | None
    is_run_and_base: bool
    own_cost: Cost
    baseline_cost: Cost | None
    retention: Retention | None

    @property
    def whole(self) -> tuple[list[RowScore], list[RowScore] | None]:
        """The scores of every row that both sides were given, in one order."""
        return self.scores(None)

    def scores(self, numbers: Collection[int] | None) -> tuple[list[RowScore], list[RowScore] | None]:
        """The same for the rows with these numbers; None means all."""
        tuned = [row for row in self.tuned.rows if numbers is None or row.row in numbers]
        if self.base is None:
            return tuned, None
        shared = [row for row in tuned if row.row in self.base]
        return shared, [self.base[row.row] for row in shared]

    def cost(self, search: PromptSearch | None) -> Cost:
        """The candidate's, with what was spent in the search for it."""
        spent = self.own_cost.making_tokens + (0 if search is None else search.tokens)
        return self.own_cost.model_copy(update={"making_tokens": spent})


def measure_sides(
    job: JobContext, examiner: Examiner, variant: PromptVariant | None, card: GoldenSetCard, searched: bool
) -> Sides:
    """Score the candidate and what it is compared with.

    A run is compared with its base behind the same prompt, except for a prompt that was searched for it: that, like a
    prompt of a base model, is compared with the same model without one. A bare base model is compared with nothing.

    Raises:
        EmptyMask, InvalidArgument, UnsupportedModel, Stopped: as `Examiner` and `measurement.measure`.
    """
    subject, plan = examiner.subject, examiner.subject.plan
    given = examiner.given(variant)
    spent = 0 if subject.outcome is None else subject.outcome.trained_tokens
    if plan is not None and not searched:
        general = retention_rows(job.store, card, subject.tokenizer, examiner.limit)
        progress = Progress(job, 2 * (given.passes + len(general)))
        job.phase("scoring the tuned model")
        tuned = examiner.measure(subject.model, given, progress)
        kept = _read(examiner, subject.model, general, progress)
        job.phase("scoring its base on the same rows")
        base, before, cost = _base_side(examiner, plan, given, general, progress)
        own = examiner.cost(given, tuned, subject.model, spent)
        return Sides(given, tuned, _by_row(base), True, own, cost, retention_of(before, kept))
    bare = None if variant is None else examiner.given(None)
    progress = Progress(job, given.passes + (0 if bare is None else bare.passes))
    job.phase("scoring the model" if variant is None else "scoring behind the prompt")
    tuned = examiner.measure(subject.model, given, progress)
    own = examiner.cost(given, tuned, subject.model, spent)
    if bare is None:
        return Sides(given, tuned, None, False, own, None, None)
    job.phase("scoring without it")
    base = examiner.measure(subject.model, bare, progress)
    cost = examiner.cost(bare, base, subject.model, spent)
    return Sides(given, tuned, _by_row(base), False, own, cost, None)


def _base_side(
    examiner: Examiner, plan: Plan, given: Given, general: Sequence[GoldenRow], progress: Progress
) -> tuple[Measured, list[RowScore], Cost]:
    with examiner.subject.base(plan) as model:
        base = examiner.measure(model, given, progress)
        return base, _read(examiner, model, general, progress), examiner.cost(given, base, model, 0)


def _read(examiner: Examiner, model: Any, rows: Sequence[GoldenRow], progress: Progress) -> list[RowScore]:
    """The losses of texts that nothing is written behind."""
    tokenizer = examiner.subject.tokenizer
    return measure(model, tokenizer, rows, [], examiner.grader, examiner.stops, progress).rows


def _by_row(measured: Measured) -> dict[int, RowScore]:
    return {row.row: row for row in measured.rows}

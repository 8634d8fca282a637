"""The best of many prompt variants, found on the exploring rows of the dev half."""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.evaluation.dev_split import exploring_rows
from tunesmith.evaluation.examiner import Examiner, Given
from tunesmith.evaluation.halving import (
    Quality,
    rung_candidates,
    rung_rows,
    successive_halving,
)
from tunesmith.evaluation.measurement import Measured, Progress
from tunesmith.evaluation.metric_choice import READ_METRICS
from tunesmith.evaluation.metrics import LOWER_IS_BETTER, RowScore
from tunesmith.jobs.context import JobContext
from tunesmith.schemas.datasets import GoldenSetCard
from tunesmith.schemas.enums import Half
from tunesmith.schemas.errors import InvalidArgument, NoRows
from tunesmith.schemas.evaluations import PromptSearch, PromptVariant, Rung, SearchedVariant

TOLD_VARIANTS = 50
_OF_ROWS = {"perplexity": "loss", "bits_per_byte": "loss", "macro_f1": "accuracy"}
"""What is not a mean over rows, by the figure of a row that stands for it."""
_NO_GOALS = ("answer_tokens",)


def goal_of(named: Sequence[str]) -> str:
    """The metric that prompts are judged by: the first one named that says what is better, else the loss."""
    goals = [_OF_ROWS.get(name, name) for name in named if name not in _NO_GOALS]
    return goals[0] if goals else "loss"


def search_prompts(
    job: JobContext, examiner: Examiner, card: GoldenSetCard, variants: Sequence[PromptVariant], goal: str
) -> tuple[PromptVariant, PromptSearch]:
    """The variant that successive halving leaves, and how it went. Equal variants are told apart by their loss.

    Raises:
        NoRows: the dev half has no rows to search on.
        InvalidArgument: none of the variants can be given to the model.
        Stopped: a stop was requested.
    """
    numbers = exploring_rows(examiner.numbers(goal not in READ_METRICS), card.golden_set_id, Half.DEV)
    if not numbers:
        raise NoRows(
            f"The dev half of {card.golden_set_id} is too small to search prompts on a part of it.",
            "Call build_golden_set with a larger size, or evaluate_model with one variant.",
        )
    judge = _Judge(job, examiner, variants, goal, numbers)
    found = successive_halving(len(variants), len(numbers), judge.score)
    best = found.standings[0]
    if best.rows == 0:
        raise InvalidArgument(
            f"None of the {len(variants)} variants leaves room for every row within {examiner.limit} tokens.",
            "Call evaluate_model with shorter prompts or a smaller few_shot.",
        )
    sign = -1.0 if goal in LOWER_IS_BETTER else 1.0
    return variants[best.candidate], PromptSearch(
        metric=goal,
        rungs=[Rung(variants=some, rows=rows) for some, rows in found.rungs],
        variants=[
            SearchedVariant(variant=one.candidate, rows=one.rows, score=sign * one.quality[0])
            for one in found.standings[:TOLD_VARIANTS]
            if one.rows
        ],
        tokens=judge.tokens,
    )


class _Judge:
    """Scores variants on some of the rows."""

    def __init__(
        self,
        job: JobContext,
        examiner: Examiner,
        variants: Sequence[PromptVariant],
        goal: str,
        numbers: Sequence[int],
    ) -> None:
        self.tokens = 0
        self._examiner, self._variants = examiner, variants
        self._goal, self._numbers = goal, numbers
        sizes = rung_rows(len(numbers))
        alive = rung_candidates(len(variants), len(numbers))
        new = [after - before for before, after in zip([0, *sizes], sizes, strict=False)]
        self._answered = goal not in READ_METRICS
        passes = 2 if self._answered else 1
        total = passes * sum(some * rows for some, rows in zip(alive, new, strict=False))
        self._progress = Progress(job, total)

    def score(self, candidates: list[int], places: range) -> dict[int, list[Quality]]:
        """The quality of each row for each variant that leaves room for all of them."""
        wanted = [self._numbers[place] for place in places]
        qualities = {}
        for candidate in candidates:
            measured = self._measured(candidate, wanted)
            if measured is not None:
                known = {row.row: row for row in measured.rows}
                qualities[candidate] = [self._quality(known[number]) for number in wanted]
        return qualities

    def _measured(self, candidate: int, wanted: list[int]) -> Measured | None:
        given = self._examiner.some(self._variants[candidate], frozenset(wanted), self._answered)
        if given is None:
            return None
        measured = self._examiner.measure(self._examiner.subject.model, given, self._progress)
        self.tokens += _tokens(given, measured)
        return measured

    def _quality(self, row: RowScore) -> Quality:
        loss = row.loss / row.tokens
        if self._goal == "loss":
            return -loss, 0.0
        figure = row.correct / row.tokens if self._goal == "token_accuracy" else row.answer[self._goal]
        return figure, -loss


def _tokens(given: Given, measured: Measured) -> int:
    """Read to score the references, and read and written for the answers."""
    asked = sum(len(given.rows[place].prompt_ids) for place in given.answers)
    answered = sum(answer.new_tokens for answer in measured.written.values())
    return sum(len(row.rendered.input_ids) for row in given.rows) + asked + answered

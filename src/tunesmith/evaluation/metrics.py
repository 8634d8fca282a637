"""From rows to scores.

loss            nats per token, the mean over all loss tokens (long answers weigh more than short ones)
perplexity      exp(loss)
token_accuracy  share of the loss tokens that the model ranks first, given the true tokens before them
exact_match     share of the rows whose greedily written answer is the reference, surrounding whitespace aside
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from tunesmith.evaluation.intervals import bootstrap_ratio, perplexity, wilson
from tunesmith.schemas.errors import InvalidArgument
from tunesmith.schemas.evaluations import Score, Target

METRICS = ("loss", "perplexity", "token_accuracy", "exact_match")
DEFAULT_METRICS = ("loss", "perplexity", "token_accuracy")
SHORT_REFERENCE_TOKENS = 64
"""Exact match is scored unasked up to this median length: longer answers hardly ever match word for word, and
writing them costs far more than reading them."""
ACCURACY_GOAL = 0.9
PERPLEXITY_GOAL = 10.0


@dataclass(frozen=True)
class RowScore:
    """What one model did on one row. `exact` is None where no answer was written."""

    row: int
    loss: float
    tokens: int
    correct: int
    exact: bool | None = None


def require_known(wanted: Sequence[str]) -> None:
    """Refuse a metric that does not exist.

    Raises:
        InvalidArgument: the message names it, the recovery lists those there are.
    """
    for name in wanted:
        if name not in METRICS:
            raise InvalidArgument(
                f"There is no metric {name[:40]!r}.",
                f"Call evaluate_model with metrics from {', '.join(METRICS)}.",
            )


def choose_metrics(wanted: Sequence[str], reference_tokens: Sequence[int]) -> tuple[str, ...]:
    """The metrics to score, in the order of `METRICS`: those wanted, or the default ones when none is named.

    The default takes in exact_match when half of the references are at most `SHORT_REFERENCE_TOKENS` long.
    """
    if wanted:
        return tuple(name for name in METRICS if name in wanted)
    short = bool(reference_tokens) and median(reference_tokens) <= SHORT_REFERENCE_TOKENS
    return (*DEFAULT_METRICS, "exact_match") if short else DEFAULT_METRICS


def aggregate(rows: Sequence[RowScore], metrics: Sequence[str]) -> dict[str, Score]:
    """The rows' scores as {metric: value with its 95 % interval}; every row has at least one token."""
    tokens = np.array([row.tokens for row in rows], dtype=np.float64)
    scores: dict[str, Score] = {}
    if "loss" in metrics or "perplexity" in metrics:
        loss = bootstrap_ratio(np.array([row.loss for row in rows], dtype=np.float64), tokens)
        scores |= {"loss": loss, "perplexity": perplexity(loss)}
    if "token_accuracy" in metrics:
        scores["token_accuracy"] = bootstrap_ratio(
            np.array([row.correct for row in rows], dtype=np.float64), tokens
        )
    written = [row.exact for row in rows if row.exact is not None]
    if "exact_match" in metrics and written:
        scores["exact_match"] = wilson(sum(written), len(written))
    return {name: scores[name] for name in METRICS if name in metrics and name in scores}


def is_exact(answer: str, reference: str) -> bool:
    """Whether an answer is the reference, surrounding whitespace aside."""
    return answer.strip() == reference.strip()


def targets(scores: dict[str, Score], improved: bool | None) -> dict[str, Target]:
    """The goals to report against; `improved` is None when there is no baseline to compare the loss with."""
    goals: dict[str, Target] = {}
    if improved is not None:
        goals["loss"] = Target(goal="measurably below the base's", met=improved)
    if "perplexity" in scores:
        goals["perplexity"] = Target(goal="< 10", met=scores["perplexity"].value < PERPLEXITY_GOAL)
    for name in ("token_accuracy", "exact_match"):
        if name in scores:
            goals[name] = Target(goal="> 90 %", met=scores[name].value > ACCURACY_GOAL)
    return goals

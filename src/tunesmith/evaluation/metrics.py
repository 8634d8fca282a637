"""From rows to scores.

loss            nats per token, the mean over all loss tokens (long answers weigh more than short ones)
perplexity      exp(loss)
bits_per_byte   the same sum of losses in bits, over the UTF-8 bytes of the texts that these tokens spell: the one
                measure that means the same for models with different vocabularies. The tokens that end an answer
                cost bits and have no bytes
token_accuracy  share of the loss tokens that the model ranks first, given the true tokens before them
accuracy        share of the rows whose answer is the right label; see `classification`
macro_f1        see `classification`
exact_match, token_f1, rouge_l, chrf, json_valid, json_fields: see `answer_metrics`; the mean over rows
answer_tokens   mean length of the answers in tokens, the one that ends an answer included
stopped         share of the answers that ended by themselves, and not at the length that was left for them
regex:<pattern> share of the answers in which the pattern is found
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from tunesmith.diagnosis.proportion import wilson
from tunesmith.evaluation.classification import macro_f1, macro_f1_difference
from tunesmith.evaluation.intervals import (
    perplexity,
    ratio_interval,
    share_difference,
    share_interval,
)
from tunesmith.evaluation.significance import noise_p
from tunesmith.schemas.evaluations import REGEX, Difference, Score, Target

PROPORTIONS = ("exact_match", "accuracy", "json_valid", "stopped")
LOWER_IS_BETTER = ("loss", "perplexity", "bits_per_byte")
ACCURACIES = ("token_accuracy", "exact_match", "accuracy")
ACCURACY_GOAL = 0.9
PERPLEXITY_GOAL = 10.0


@dataclass(frozen=True)
class RowScore:
    """What one model did on one row.

    `loss` is a sum in nats over `tokens` tokens, which spell `size` bytes. `answer` holds the figures of the
    written answer by metric, and is empty where none was written. `label` and `predicted` are numbers of classes,
    where answers are labels.
    """

    row: int
    loss: float
    tokens: int
    correct: int
    size: int = 0
    answer: Mapping[str, float] = field(default_factory=dict)
    label: int | None = None
    predicted: int | None = None


def aggregate(rows: Sequence[RowScore], metrics: Sequence[str]) -> dict[str, Score]:
    """The rows' scores as {metric: value with its 95 % interval}; every row has at least one token."""
    scores: dict[str, Score] = {}
    for name in metrics:
        score = _score(rows, name, scores)
        if score is not None:
            scores[name] = score
    return scores


def differences(
    base: Sequence[RowScore], tuned: Sequence[RowScore], metrics: Sequence[str]
) -> dict[str, Difference]:
    """Tuned minus base for each metric, over the same rows in the same order; perplexity is left to the loss."""
    found: dict[str, Difference] = {}
    for name in metrics:
        difference = _difference(base, tuned, name)
        if difference is not None:
            found[name] = difference
    return found


def targets(scores: dict[str, Score], improved: bool | None) -> dict[str, Target]:
    """The goals to report against; `improved` is None when there is no baseline to compare the loss with."""
    goals: dict[str, Target] = {}
    if improved is not None:
        goals["loss"] = Target(goal="measurably below the base's", met=improved)
    if "perplexity" in scores:
        goals["perplexity"] = Target(goal="< 10", met=scores["perplexity"].value < PERPLEXITY_GOAL)
    for name in ACCURACIES:
        if name in scores:
            goals[name] = Target(goal="> 90 %", met=scores[name].value > ACCURACY_GOAL)
    return goals


def _score(rows: Sequence[RowScore], name: str, known: Mapping[str, Score]) -> Score | None:
    if name == "perplexity":
        return perplexity(known.get("loss") or _ratio(rows, "loss"))
    if name in ("loss", "bits_per_byte"):
        return _ratio(rows, name) if name == "loss" or _sized(rows) else None
    if name == "token_accuracy":
        return share_interval(_column(rows, "correct"), _column(rows, "tokens"))
    if name == "macro_f1":
        labels, predicted = _classes(rows)
        return macro_f1(labels, predicted, int(labels.max()) + 1) if len(labels) else None
    values = _values(rows, name)
    if not len(values):
        return None
    if name in PROPORTIONS or name.startswith(REGEX):
        return wilson(round(float(values.sum())), len(values))
    if name == "answer_tokens":
        return ratio_interval(values, np.ones(len(values)), lowest=0.0)
    return share_interval(values, np.ones(len(values)))


def _difference(base: Sequence[RowScore], tuned: Sequence[RowScore], name: str) -> Difference | None:
    if name in ("loss", "bits_per_byte"):
        if name == "bits_per_byte" and not _sized(tuned):
            return None
        moved = _numerators(tuned, name) - _numerators(base, name)
        return _with_p(ratio_interval(moved, _weights(tuned, name)), moved)
    if name == "token_accuracy":
        moved = _column(tuned, "correct") - _column(base, "correct")
        return _with_p(share_difference(moved, _column(tuned, "tokens")), moved)
    if name == "perplexity":
        return None
    if name == "macro_f1":
        (labels, before), (_, after) = _classes(base), _classes(tuned)
        return macro_f1_difference(labels, before, after, int(labels.max()) + 1) if len(labels) else None
    moved = _values(tuned, name) - _values(base, name)
    if not len(moved):
        return None
    ones = np.ones(len(moved))
    whole = ratio_interval(moved, ones) if name == "answer_tokens" else share_difference(moved, ones)
    return _with_p(whole, moved)


def _with_p(score: Score, moved: np.ndarray) -> Difference:
    return Difference(value=score.value, low=score.low, high=score.high, p=noise_p(moved))


def _ratio(rows: Sequence[RowScore], name: str) -> Score:
    return ratio_interval(_numerators(rows, name), _weights(rows, name), lowest=0.0)


def _numerators(rows: Sequence[RowScore], name: str) -> np.ndarray:
    """Losses in nats, or in bits."""
    return _column(rows, "loss") / (math.log(2) if name == "bits_per_byte" else 1.0)


def _weights(rows: Sequence[RowScore], name: str) -> np.ndarray:
    """Tokens, or bytes. A row that spells nothing has its bits counted all the same."""
    return np.maximum(_column(rows, "size"), 1e-9) if name == "bits_per_byte" else _column(rows, "tokens")


def _sized(rows: Sequence[RowScore]) -> bool:
    return any(row.size for row in rows)


def _column(rows: Sequence[RowScore], name: str) -> np.ndarray:
    return np.array([getattr(row, name) for row in rows], dtype=np.float64)


def _values(rows: Sequence[RowScore], name: str) -> np.ndarray:
    return np.array([row.answer[name] for row in rows if name in row.answer], dtype=np.float64)


def _classes(rows: Sequence[RowScore]) -> tuple[np.ndarray, np.ndarray]:
    known = [
        (row.label, row.predicted) for row in rows if row.label is not None and row.predicted is not None
    ]
    pairs = np.array(known, dtype=np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]

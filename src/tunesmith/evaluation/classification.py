"""Answers that are class labels: macro-F1 with its interval, and the table of what was taken for what.

An answer counts as a label when it is one after `normalised_label` (case, quotes and a full stop aside). Any
other answer, an empty one too, is no label: it is wrong, and counted in a column of its own.

macro_f1   the mean over the classes that occur in the references of F1 = 2 TP / (2 TP + FP + FN)

Its interval resamples rows with smooth weights (D. B. Rubin, "The Bayesian bootstrap", Annals of Statistics 9,
1981), together with half a row answered right and half a row answered wrong per class (Jeffreys's prior of each
class's recall): resampling whole rows loses rare classes, and has no width where every answer was right.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

from tunesmith.data.quality.labels import LONGEST_LABEL, normalised_label
from tunesmith.diagnosis.proportion import Z_95
from tunesmith.evaluation.intervals import RESAMPLES, SEED, t_quantile
from tunesmith.evaluation.significance import FLIPS, random_signs
from tunesmith.jobs.scrub import scrub
from tunesmith.schemas.evaluations import Confusion, Difference, Score

NO_LABEL = -1
LABELS_SHOWN = 20
_PRIOR = 0.5


class LabelSet:
    """The classes of a set of references, each with a number: the most frequent is 0."""

    def __init__(self, references: Sequence[str]) -> None:
        spellings: dict[str, Counter[str]] = {}
        for reference in references:
            spellings.setdefault(normalised_label(reference), Counter())[reference.strip()] += 1
        ordered = sorted(spellings, key=lambda label: (-spellings[label].total(), label))
        self.names = [spellings[label].most_common(1)[0][0] for label in ordered]
        self._numbers = {label: number for number, label in enumerate(ordered)}

    def __len__(self) -> int:
        return len(self.names)

    def number(self, answer: str) -> int:
        """The class that an answer names, or `NO_LABEL`."""
        if len(answer.strip()) > 2 * LONGEST_LABEL:
            return NO_LABEL
        return self._numbers.get(normalised_label(answer), NO_LABEL)


def macro_f1(labels: np.ndarray, predicted: np.ndarray, classes: int, *, seed: int = SEED) -> Score:
    """Macro-F1 with its interval. `labels` and `predicted` have shape [rows]; all classes occur in `labels`."""
    value = float(_macro(_counts(labels, predicted, classes, np.ones((1, len(labels)))))[0])
    draws = _macro(_smooth_counts(labels, predicted, classes, _weights(len(labels), classes, seed)))
    low, high = _around(value, draws, len(labels), classes)
    return Score(value=value, low=max(0.0, low), high=min(1.0, high))


def macro_f1_difference(
    labels: np.ndarray, base: np.ndarray, tuned: np.ndarray, classes: int, *, seed: int = SEED
) -> Difference:
    """Macro-F1 of `tuned` minus that of `base`, with its interval and the p-value of swapping the two row by row."""
    ones = np.ones((1, len(labels)))
    value = float(
        _macro(_counts(labels, tuned, classes, ones))[0] - _macro(_counts(labels, base, classes, ones))[0]
    )
    weights = _weights(len(labels), classes, seed)
    draws = _macro(_smooth_counts(labels, tuned, classes, weights)) - _macro(
        _smooth_counts(labels, base, classes, weights)
    )
    low, high = _around(value, draws, len(labels), classes)
    return Difference(
        value=value,
        low=max(-1.0, low),
        high=min(1.0, high),
        p=_swap_p(labels, base, tuned, classes, abs(value), seed),
    )


def confusion(labels: np.ndarray, predicted: np.ndarray, names: Sequence[str]) -> Confusion:
    """The table, of the most frequent classes where there are many: the others stand together at its end."""
    shown = len(names) if len(names) <= LABELS_SHOWN else LABELS_SHOWN - 1
    told = [scrub(name, LONGEST_LABEL) for name in names[:shown]]
    width = shown + (len(names) > shown)
    if width > shown:
        told.append(f"({len(names) - shown} other labels)")
    table: np.ndarray = np.zeros((width, width + 1), dtype=int)
    columns = np.where(predicted == NO_LABEL, width, np.minimum(predicted, width - 1))
    np.add.at(table, (np.minimum(labels, width - 1), columns), 1)
    return Confusion(untrusted_labels=told, counts=table.tolist())


def _around(value: float, draws: np.ndarray, rows: int, classes: int) -> tuple[float, float]:
    """The draws' 95 % interval, widened as Student's t is for `rows - classes` degrees of freedom."""
    freedom = max(rows - classes, 1)
    wider = t_quantile(freedom) / Z_95 * math.sqrt(rows / freedom)
    low, high = (float(end) for end in np.quantile(draws, [0.025, 0.975]))
    return value - wider * max(0.0, value - low), value + wider * max(0.0, high - value)


def _swap_p(
    labels: np.ndarray, base: np.ndarray, tuned: np.ndarray, classes: int, seen: float, seed: int
) -> float:
    """The share of random swaps of the two models' answers, row by row, that leave a difference as large."""
    differs = base != tuned
    if not differs.any():
        return 1.0
    fixed = np.ones((1, int((~differs).sum())))
    same = _counts(labels[~differs], base[~differs], classes, fixed)
    as_far = 0
    for signs in random_signs(int(differs.sum()), seed):
        kept = (signs > 0).astype(np.float64)
        sides = [
            [
                part + other + stay
                for part, other, stay in zip(
                    _counts(labels[differs], ours[differs], classes, kept),
                    _counts(labels[differs], theirs[differs], classes, 1 - kept),
                    same,
                    strict=True,
                )
            ]
            for ours, theirs in ((tuned, base), (base, tuned))
        ]
        as_far += int((np.abs(_macro(sides[0]) - _macro(sides[1])) >= seen * (1 - 1e-9)).sum())
    return (1 + as_far) / (FLIPS + 1)


def _weights(rows: int, classes: int, seed: int) -> np.ndarray:
    """Shape [resamples, rows + 2 * classes]: one row's weight has mean 1, half a row's 0.5."""
    shapes = np.concatenate([np.ones(rows), np.full(2 * classes, _PRIOR)])
    return np.random.default_rng(seed).standard_gamma(shapes, size=(RESAMPLES, len(shapes)))


def _smooth_counts(
    labels: np.ndarray, predicted: np.ndarray, classes: int, weights: np.ndarray
) -> list[np.ndarray]:
    every = np.arange(classes)
    return _counts(
        np.concatenate([labels, every, every]),
        np.concatenate([predicted, every, np.full(classes, NO_LABEL)]),
        classes,
        weights,
    )


def _counts(labels: np.ndarray, predicted: np.ndarray, classes: int, weights: np.ndarray) -> list[np.ndarray]:
    """True positives, rows of the class, and answers that name it: each of shape [resamples, classes]."""
    every = np.arange(classes)
    wanted = (labels[:, None] == every).astype(np.float64)
    named = (predicted[:, None] == every).astype(np.float64)
    return [weights @ (wanted * named), weights @ wanted, weights @ named]


def _macro(counts: Sequence[np.ndarray]) -> np.ndarray:
    right, wanted, named = counts
    both = wanted + named
    return (2 * right / np.where(both > 0, both, 1.0)).mean(axis=1)

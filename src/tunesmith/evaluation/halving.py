"""Successive halving: many candidates on few rows, the better ones on more.

K. Jamieson and A. Talwalkar, "Non-stochastic best arm identification and hyperparameter optimization", AISTATS 2016.
Here the number of rows doubles from rung to rung until all rows are used, and the share of the candidates that is kept
is such that one is left after the last rung. Rows once scored are not scored again, so of many candidates most cost
`FIRST_ROWS` rows each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

FIRST_ROWS = 8
"""Rows of the first rung: fewer tell candidates apart by accident alone."""

Quality = tuple[float, float]
"""The higher the better; the second decides between equals."""


@dataclass(frozen=True)
class Standing:
    """A candidate's place in the list, the rows it was scored on, and its mean quality on them."""

    candidate: int
    rows: int
    quality: Quality


@dataclass(frozen=True)
class Found:
    """All candidates, the best first (those that left early come last), and the (candidates, rows) of each rung."""

    standings: list[Standing]
    rungs: list[tuple[int, int]]


def successive_halving(
    candidates: int, rows: int, score: Callable[[list[int], range], Mapping[int, Sequence[Quality]]]
) -> Found:
    """Find the best of `candidates` on `rows` rows.

    `score(some, places)` gives for each of some candidates the quality of every row at these places; one that it
    leaves out cannot be scored and leaves at once. Equal candidates stay in the order of the list.
    """
    known: dict[int, list[Quality]] = {candidate: [] for candidate in range(candidates)}
    alive, left = list(range(candidates)), list[int]()
    rungs: list[tuple[int, int]] = []
    scored = 0
    for size, kept in zip(rung_rows(rows), rung_candidates(candidates, rows)[1:], strict=True):
        rungs.append((len(alive), size))
        qualities = score(alive, range(scored, size))
        for candidate, more in qualities.items():
            known[candidate].extend(more)
        broken = [candidate for candidate in alive if candidate not in qualities]
        ranked = sorted(qualities, key=lambda candidate: (*_negated(_mean(known[candidate])), candidate))
        alive, left, scored = ranked[:kept], [*ranked[kept:], *left, *broken], size
    return Found(
        [Standing(one, len(known[one]), _mean(known[one])) for one in [*alive, *left]],
        rungs,
    )


def rung_rows(rows: int) -> list[int]:
    """How many rows each rung has: twice as many as the one before, and all of them at last."""
    sizes = [rows]
    while sizes[0] > FIRST_ROWS:
        sizes.insert(0, max(FIRST_ROWS, math.ceil(sizes[0] / 2)))
    return sizes


def rung_candidates(candidates: int, rows: int) -> list[int]:
    """How many candidates each rung begins with, and the one that is left in the end."""
    rungs = len(rung_rows(rows))
    return [max(1, math.ceil(candidates ** (1 - rung / rungs) - 1e-9)) for rung in range(rungs + 1)]


def _mean(qualities: Sequence[Quality]) -> Quality:
    if not qualities:
        return (-math.inf, -math.inf)
    first, second = (sum(side) / len(qualities) for side in zip(*qualities, strict=True))
    return first, second


def _negated(quality: Quality) -> Quality:
    return -quality[0], -quality[1]

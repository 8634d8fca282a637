"""Held-out rows that a run may have been trained on: looked up where nothing kept them apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tunesmith.data.golden_texts import StoredTexts, reference_texts
from tunesmith.data.rows import row_groups
from tunesmith.jobs.context import JobContext, Stopped
from tunesmith.schemas.datasets import GoldenSetCard
from tunesmith.schemas.enums import Half
from tunesmith.schemas.evaluations import Comparison
from tunesmith.schemas.plans import Plan

MOST_SEEN = 0.05
"""Share of the rows from which on they may carry a verdict. Below are questions that everybody asks."""


@dataclass(frozen=True)
class Seen:
    """`rows` of the `of` held-out rows overlap with rows that the run was trained on, as build_golden_set counts it."""

    rows: int
    of: int

    @property
    def spoils(self) -> bool:
        """Whether they are enough to make a verdict."""
        return self.rows > MOST_SEEN * self.of


def kept_apart(plan: Plan, card: GoldenSetCard) -> bool:
    """Whether the golden set's rows were kept out of the very rows that the plan trains on."""
    return plan.dataset_id == card.train_dataset_id or plan.golden_set_id == card.golden_set_id


def seen_rows(job: JobContext, plan: Plan, card: GoldenSetCard, half: Half) -> Seen | None:
    """How many rows of a half the run was trained on; None where they were kept apart, or its rows are gone.

    Raises:
        Stopped: a stop was requested.
    """
    if kept_apart(plan, card):
        return None
    held_out = row_groups(job.store.handle(card.golden_set_id).half(half))
    total = sum(piece.rows for piece in held_out)
    if plan.dataset_id == card.dataset_id:
        return Seen(total, total)
    path = job.store.handle(plan.dataset_id).rows
    if not path.exists():
        return None

    def beat(_: float) -> None:
        if job.stop_requested():
            raise Stopped

    trained_on = StoredTexts(row_groups(path), workers=1)
    found = sum(len(np.unique(trained_on.overlaps(texts, beat)[:, 1])) for texts in reference_texts(held_out))
    return Seen(found, total)


def trusted(comparison: Comparison, seen: Seen | None) -> Comparison:
    """The comparison, without its verdict where the run was trained on what it was scored on."""
    if seen is None or not seen.spoils:
        return comparison
    why = f"No verdict: the run was trained on {seen.rows} of these {seen.of} rows, so that nothing is shown by this:"
    return comparison.model_copy(update={"verdict": "untrusted", "message": f"{why} {comparison.message}"})

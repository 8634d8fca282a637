"""What there is to draw of a run: its figures by step, and what happened at which step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Any

from tunesmith.jobs.series import Point
from tunesmith.jobs.state import Ledger

_WINDOWS = 25
"""A trend is of means over one part in so many of the curve."""
_ROOM = 1.1
_LONGEST_REACH = 30
"""Points, on either side."""


@dataclass(frozen=True)
class Curves:
    """Losses are means per token in nats, speeds tokens a second."""

    losses: Sequence[Point]
    held_out: Sequence[Point]
    base_loss: float | None
    """On the held-out rows, before the first step."""
    rates: Sequence[Point]
    speeds: Sequence[Point]
    checkpoints: Sequence[int]
    """Steps up to which the work is committed."""
    resumes: Sequence[tuple[int, int]]
    """Attempt, and the first step that it told."""
    total_steps: int | None

    @classmethod
    def of(cls, ledger: Ledger) -> Curves:
        """The curves that a ledger holds."""
        held_out = [(step, loss) for step, loss, _ in ledger.evaluations]
        return cls(
            losses=ledger.losses,
            held_out=[point for point in held_out if point[0] > 0],
            base_loss=next((loss for step, loss in held_out if step == 0), None),
            rates=ledger.rates.points,
            speeds=ledger.speeds.points,
            checkpoints=ledger.checkpoints,
            resumes=ledger.resumes,
            total_steps=ledger.progress.get("total_steps"),
        )

    def as_json(self) -> dict[str, Any]:
        """The curves as a JSON value, from which `Curves(**value)` makes them again."""
        return asdict(self)

    @property
    def end(self) -> int:
        """Where a drawing ends: where the run does, or, before it is half way, little beyond what it has told."""
        told = max([1, *(points[-1][0] for points in (self.losses, self.held_out) if points)])
        total = self.total_steps or 0
        return max(told, total if told >= total / 2 else math.ceil(_ROOM * told))


def trend(points: Sequence[Point]) -> list[Point]:
    """The points with their noise smoothed away: means of as many neighbours on either side."""
    reach = min(_LONGEST_REACH, len(points) // _WINDOWS // 2)
    sums = [0.0, *accumulate(value for _, value in points)]
    smooth = []
    for index, (step, _) in enumerate(points):
        sides = min(reach, index)  # fewer at the beginning, where losses fall fast
        first, end = index - sides, min(len(points), index + sides + 1)
        smooth.append((step, (sums[end] - sums[first]) / (end - first)))
    return smooth


def loss_range(curves: Curves) -> tuple[float, float]:
    """From which to which loss the drawing reaches: all that is smooth, and of the noise what is not far above it."""
    smooth = [value for points in (trend(curves.losses), curves.held_out) for _, value in points]
    if curves.base_loss is not None:
        smooth.append(curves.base_loss)
    noise = sorted(value for _, value in curves.losses)
    top = max([*smooth, noise[int(0.99 * (len(noise) - 1))]])
    bottom = min([*smooth, noise[int(0.01 * (len(noise) - 1))]])
    # A loss that ends near nought is drawn from nought on; one that varies little about 3 would be a flat line so.
    bottom = 0.0 if bottom < 0.5 * top else bottom - 0.08 * (top - bottom)
    return bottom, top + 0.06 * max(top - bottom, 1e-3)


def rate_text(rate: float) -> str:
    """A learning rate as people write it: 0.01, 2e-4."""
    if rate == 0 or rate >= 0.001:
        return f"{rate:.3g}"
    digits, _, exponent = f"{rate:.1e}".partition("e")
    return f"{digits.removesuffix('.0')}e{int(exponent)}"

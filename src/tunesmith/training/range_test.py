"""The learning-rate range test: a rate that rises at every step, and what the loss says about it.

Smith, "Cyclical Learning Rates for Training Neural Networks" (arXiv:1506.01186), section 3.3; smoothed, stopped and
read as in fastai's lr_find.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

STEPS = 60
_SPAN = 1_000.0
"""From the lowest rate that is tried to the highest."""
_SMOOTHING = 0.9
_DIVERGED = 2.0
"""Times the lowest smoothed loss: beyond this nothing is to be learned from higher rates."""
_CAUTION = 10.0
"""The rate at the lowest loss is already too high to stay at: a tenth of it is taken (fastai's "minimum")."""
_NEAR = 10.0


@dataclass(frozen=True)
class Point:
    """One step: the rate it was made with, the loss before it, and the smoothed loss, both in nats per token."""

    learning_rate: float
    loss: float
    smoothed: float


@dataclass(frozen=True)
class Choice:
    """The rate to train with, and why."""

    learning_rate: float
    why: str


def run_range_test(
    step: Callable[[float], float], usual: float, over: Callable[[], bool] = lambda: False, steps: int = STEPS
) -> list[Point]:
    """Try rates around the usual one, rising evenly in their logarithm. `step` makes an optimizer step with a rate and
    returns the loss before it. Ends early when the loss runs away, or it is `over`."""
    low = usual / math.sqrt(_SPAN)
    points: list[Point] = []
    mean = 0.0
    for index in range(steps):
        rate = low * _SPAN ** (index / (steps - 1))
        loss = step(rate)
        if not math.isfinite(loss):
            break
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss
        smoothed = mean / (1 - _SMOOTHING ** (index + 1))
        points.append(Point(rate, loss, smoothed))
        if over() or smoothed > _DIVERGED * min(point.smoothed for point in points):
            break
    return points


def choose_rate(points: Sequence[Point], usual: float) -> Choice:
    """A tenth of the rate at the lowest smoothed loss, but at most ten times, and at least a tenth of, the usual one.

    Where the loss never fell below its start nothing was learned from the test, and the usual rate stays.
    """
    if len(points) < 10 or min(point.smoothed for point in points) > 0.99 * points[0].smoothed:
        return Choice(usual, f"the usual {usual:.2g}: in the range test the loss did not fall")
    lowest = min(points, key=lambda point: point.smoothed)
    wanted = lowest.learning_rate / _CAUTION
    rate = float(f"{min(max(wanted, usual / _NEAR), usual * _NEAR):.2g}")
    return Choice(
        rate,
        f"a range test of {len(points)} steps: the loss was lowest at {lowest.learning_rate:.2g}, and a tenth of that "
        f"is cautious (the usual rate is {usual:.2g})",
    )

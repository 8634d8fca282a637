"""Axes: round numbers at even distances, and numbers as people read them."""

from __future__ import annotations

import math
from collections.abc import Sequence

_STEPS = (1.0, 2.0, 5.0, 10.0)


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers from `low` to `high`, about so many."""
    if not high > low:
        return [low]
    wanted = (high - low) / max(1, about)
    power = 10.0 ** math.floor(math.log10(wanted))
    step = min((factor * power for factor in _STEPS), key=lambda step: abs(math.log(step / wanted)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def whole_ticks(high: int, about: int) -> list[int]:
    """The same from nought on, for what is counted."""
    return sorted({round(value) for value in ticks(0, high, about) if abs(value - round(value)) < 1e-9})


def labels(even: Sequence[float]) -> list[str]:
    """Ticks as text, with the decimals that tell them apart."""
    step = even[1] - even[0] if len(even) > 1 else 1.0
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return [f"{value:,.{decimals}f}" for value in even]


def short(value: float) -> str:
    """Three significant digits, with thousands set apart."""
    if value and (abs(value) >= 1e6 or abs(value) < 1e-3):
        return f"{value:.2e}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"

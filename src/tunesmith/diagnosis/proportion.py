"""The interval of a proportion, for jobs and for the server, which has no numpy."""

from __future__ import annotations

import math

from tunesmith.schemas.evaluations import Score

Z_95 = 1.959963984540054


def wilson(successes: float, trials: int) -> Score:
    """The proportion `successes / trials` with its 95 % Wilson score interval; `trials` is at least 1.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927. Trials may also
    have outcomes between 0 and 1, such as one half for a tie: their variance is at most p (1 - p), the one that the
    interval allows for, so that it holds at least as often.
    """
    share, spread = successes / trials, Z_95**2 / trials
    centre = (share + spread / 2) / (1 + spread)
    half = Z_95 * math.sqrt(share * (1 - share) / trials + spread / (4 * trials)) / (1 + spread)
    return Score(
        value=share, low=max(0.0, min(share, centre - half)), high=min(1.0, max(share, centre + half))
    )

"""How large a change of loss must be before anybody is told that something changed.

A confidence interval only says whether a difference is real; with enough rows a difference of 0.003 nats is
real and still of no use to anybody. One per cent of the loss is the smallest change that is called a change
here: it is about what a training gives or takes by itself (one LoRA recipe on the same 634 chats came out
between 2.559 and 2.590 nats), and at the usual 1 to 3 nats it moves the perplexity by 1 to 3 %. Losses
close to zero need a floor beside it, or their jitter would count: 0.005 nats, half a per cent of the
perplexity.
"""

from __future__ import annotations

PRACTICAL_EFFECT = 0.01
"""Smallest relative change of a mean loss per token that counts."""
SMALLEST_NATS = 0.005
"""Smallest absolute change of a mean loss per token that counts."""


def relative_change(before: float, after: float) -> float:
    """`(after - before) / before`, negative when the loss fell; 0 when there was no loss to compare with."""
    return (after - before) / before if before > 0 else 0.0


def fell(before: float, after: float, share: float = PRACTICAL_EFFECT) -> bool:
    """Whether the loss went down by at least `share` of `before`, and by `SMALLEST_NATS`."""
    return before - after >= max(share * before, SMALLEST_NATS)


def rose(before: float, after: float, share: float = PRACTICAL_EFFECT) -> bool:
    """Whether the loss went up by at least `share` of `before`, and by `SMALLEST_NATS`."""
    return after - before >= max(share * before, SMALLEST_NATS)

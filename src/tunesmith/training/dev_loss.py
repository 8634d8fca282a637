"""Loss and token accuracy on the dev half: sums over all its tokens, never a mean of batch means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.evaluation.scoring import score
from tunesmith.training.failures import free_memory, running_out
from tunesmith.training.rendering import Rendered

_SMALLEST_SHARE = 1 / 500
"""Of the usual batch: less than a row's worth of tokens."""


class _TooMany(Exception):
    """A batch did not fit into memory."""


@dataclass(frozen=True)
class DevLoss:
    """Mean loss per token in nats, and the share of tokens that the model ranks first."""

    loss: float
    accuracy: float


def dev_loss(model: Any, rows: Sequence[Rendered], on_batch: Callable[[int], None]) -> DevLoss:
    """Score `rows`, at least one; the model is left in the mode it was in. What `on_batch` raises ends it.

    Out of memory, it scores fewer at a time: a training that fits must not end at its evaluation.
    """
    was_training = model.training
    model.eval()
    share = 1.0
    try:
        while True:
            try:
                with running_out(_TooMany):
                    scores = score(model, rows, on_batch, share)
                break
            except _TooMany:
                if share < _SMALLEST_SHARE:
                    raise MemoryError from None
            free_memory()
            share /= 4
    finally:
        model.train(was_training)
    tokens = sum(row.tokens for row in scores)
    return DevLoss(sum(row.loss for row in scores) / tokens, sum(row.correct for row in scores) / tokens)

"""Losses of given answers: batched forward passes over rows of like length."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from tunesmith.evaluation.batching import batches
from tunesmith.training.rendering import NO_LOSS, Rendered

BATCH_ROWS = 64
BATCH_TOKENS = 4096
"""Most tokens of a forward pass, padding included."""
LOGITS_BYTES = 256 * 2**20
"""Most memory for the float32 logits of one forward pass (the loss takes about twice as much again). An
answer that needs more is scored in several passes."""


@dataclass(frozen=True)
class TokenScore:
    """One row: the sum of its token losses in nats, its loss tokens, and those ranked first."""

    loss: float
    tokens: int
    correct: int


def score(
    model: Any, rows: Sequence[Rendered], on_batch: Callable[[int], None], share: float = 1.0
) -> list[TokenScore]:
    """The score of each row, in the order of `rows`; every row has at least one loss token. `share` makes batches
    smaller than usual.

    `on_batch` is told after each batch how many rows were in it; what it raises ends the scoring. `model` is
    a causal language model in evaluation mode, with or without an adapter.
    """
    predicting = [_predicting(row) for row in rows]
    room = max(1, int(share * LOGITS_BYTES) // (4 * vocabulary(model)))

    def fits(batch: list[int]) -> bool:
        width = max(len(rows[index].input_ids) for index in batch)
        kept = set().union(*(predicting[index] for index in batch))
        return (
            len(batch) <= BATCH_ROWS
            and width * len(batch) <= share * BATCH_TOKENS
            and len(kept) * len(batch) <= room
        )

    order = sorted(range(len(rows)), key=lambda index: (len(rows[index].input_ids), predicting[index][0]))
    scores: dict[int, TokenScore] = {}
    for batch in batches(order, fits):
        kept = sorted(set().union(*(predicting[index] for index in batch)))
        figures = _score_batch(model, [rows[index] for index in batch], kept, max(1, room // len(batch)))
        scores.update(zip(batch, figures, strict=True))
        on_batch(len(batch))
    return [scores[index] for index in range(len(rows))]


def virtual_tokens(model: Any) -> int:
    """How many learned tokens the model puts before its input as embeddings: they come back in the logits.

    Prefix tuning puts its tokens into the cache instead, where they take up positions but no logits.
    """
    config = _prompt_learning(model)
    return 0 if config is None or config.peft_type == "PREFIX_TUNING" else int(config.num_virtual_tokens)


def occupied_positions(model: Any) -> int:
    """How many positions of the model's context are taken before its input begins."""
    config = _prompt_learning(model)
    return 0 if config is None else int(config.num_virtual_tokens)


def without_adapter(model: Any) -> Any:
    """The causal language model below an adapter, whose layers stay as they are; any other model itself."""
    return (
        model.get_base_model()
        if hasattr(model, "peft_config") and hasattr(model, "get_base_model")
        else model
    )


def vocabulary(model: Any) -> int:
    """How many logits the model gives for a position."""
    head = without_adapter(model).get_output_embeddings()
    return int(
        head.weight.shape[0] if hasattr(head, "weight") and head.weight.ndim == 2 else model.config.vocab_size
    )


def _prompt_learning(model: Any) -> Any | None:
    config = getattr(model, "active_peft_config", None) if hasattr(model, "get_base_model") else None
    return config if config is not None and config.is_prompt_learning else None


def _predicting(row: Rendered) -> list[int]:
    """The positions whose logits predict a token that carries loss."""
    return [at - 1 for at, label in enumerate(row.labels) if label != NO_LOSS and at > 0]


def _score_batch(model: Any, rows: list[Rendered], kept: list[int], room: int) -> list[TokenScore]:
    device = next(model.parameters()).device
    width = max(len(row.input_ids) for row in rows)
    # Padding stands on the right, where no token of the row attends to it and no position moves.
    ids = torch.tensor([row.input_ids + [0] * (width - len(row.input_ids)) for row in rows], device=device)
    mask = torch.tensor(
        [[1] * len(row.input_ids) + [0] * (width - len(row.input_ids)) for row in rows], device=device
    )
    labels = torch.tensor([row.labels + [NO_LOSS] * (width - len(row.labels)) for row in rows], device=device)
    losses = torch.zeros(len(rows), dtype=torch.float64, device=device)
    correct = torch.zeros(len(rows), dtype=torch.int64, device=device)
    for positions, logits in _logits(model, ids, mask, kept, room):
        wanted = labels[:, positions + 1]
        counted = wanted != NO_LOSS
        losses += (
            torch.nn.functional.cross_entropy(
                logits.float().transpose(1, 2), wanted, ignore_index=NO_LOSS, reduction="none"
            )
            .to(torch.float64)
            .sum(dim=1)
        )
        correct += ((logits.argmax(dim=-1) == wanted) & counted).sum(dim=1)
    tokens = (labels[:, 1:] != NO_LOSS).sum(dim=1)
    figures = zip(losses.tolist(), tokens.tolist(), correct.tolist(), strict=True)
    return [TokenScore(loss, count, right) for loss, count, right in figures]


def _logits(
    model: Any, ids: torch.Tensor, mask: torch.Tensor, kept: list[int], room: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The logits [rows, positions, vocabulary] of the kept positions, `room` positions at a time."""
    shift = virtual_tokens(model)
    selects = "logits_to_keep" in inspect.signature(without_adapter(model).forward).parameters
    for positions in torch.tensor(kept, device=ids.device).split(room if selects else len(kept)):
        options = {"logits_to_keep": positions + shift} if selects else {}
        with torch.inference_mode():
            logits = model(input_ids=ids, attention_mask=mask, use_cache=False, **options).logits
        yield positions, logits if selects else logits[:, positions + shift]

"""The loss of the tokens that are learned: only their positions go through the output head, a few at a time."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import cross_entropy

from tunesmith.evaluation.scoring import virtual_tokens, vocabulary, without_adapter
from tunesmith.training.step_batches import Pass

LOGITS_BYTES = 64 * 2**20
"""Most memory for the float32 logits that exist at a time; softmax and gradient take as much again each."""
_COMPARED = 4


class AnswerLoss:
    """The summed cross-entropy of a pass over `model`, a causal language model with or without an adapter."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self._head = without_adapter(model).get_output_embeddings()
        self._shift = virtual_tokens(model)
        self._positions = max(1, LOGITS_BYTES // (4 * vocabulary(model)))
        self._head_is_last: bool | None = None
        self.auxiliary: torch.Tensor | None = None
        """What the last pass returned to balance a mixture of experts."""

    def __call__(self, batch: Pass) -> torch.Tensor:
        """The sum in nats, a scalar that gradients flow from."""
        if self._head_is_last is None:
            self._head_is_last = self._nothing_follows_the_head(batch)
        if not self._head_is_last:
            _, logits = self._forward(batch, len(batch.targets))
            return cross_entropy(logits.float(), batch.targets, reduction="sum")
        hidden, _ = self._forward(batch, 1)
        weights = [weight for weight in self._head.parameters() if weight.requires_grad]
        total: torch.Tensor = _InPieces.apply(hidden, batch.targets, self._head, self._positions, *weights)
        return total

    def _forward(self, batch: Pass, shown: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The states [loss tokens, hidden size] from which tokens with loss are predicted, and the logits of the first
        `shown` of them: the head is given no others."""
        sequences, places = batch.predicting[0], batch.predicting[1] + self._shift
        picked: list[torch.Tensor] = []

        def pick(_: Any, given: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
            picked.append(given[0][sequences, places])
            return (picked[0][None, :shown],)

        inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "use_cache": False}
        if batch.position_ids is not None:
            inputs["position_ids"] = batch.position_ids
        hook = self._head.register_forward_pre_hook(pick)
        try:
            out = self._model(**inputs)
        finally:
            hook.remove()
        self.auxiliary = getattr(out, "aux_loss", None)
        return picked[0], out.logits[0]

    def _nothing_follows_the_head(self, batch: Pass) -> bool:
        """Some models scale or cap what comes out of their head (Gemma 2, Granite, Cohere): then it has to come out of
        the model itself, all of it at once."""
        with (
            torch.no_grad(),
            torch.random.fork_rng(),
        ):  # a resumed training looks once more, at no draw's expense
            hidden, logits = self._forward(batch, _COMPARED)
            alone = self._head(hidden[None, :_COMPARED])[0]
        return torch.allclose(alone.float(), logits.float(), rtol=1e-2, atol=1e-3)


class _InPieces(torch.autograd.Function):
    """Cross-entropy behind a head, some positions at a time, each with its gradient at once, so that only one piece's
    logits exist (as in Liger Kernel, arXiv:2410.10989, section 3.2). `weights` are what learns in the head."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        targets: torch.Tensor,
        head: Any,
        positions: int,
        *weights: torch.Tensor,
    ) -> torch.Tensor:
        total = torch.zeros((), device=hidden.device)
        learning = [torch.zeros_like(weight) for weight in weights]
        slopes = []
        for states, wanted in zip(hidden.split(positions), targets.split(positions), strict=True):
            with torch.enable_grad():
                states = states.detach().requires_grad_()
                logits = head(states[None])[0].float()
            loss, of_logits = _loss_and_slope(logits.detach(), wanted)
            slope, *rest = torch.autograd.grad(logits, (states, *weights), of_logits)
            slopes.append(slope)
            for sum_so_far, more in zip(learning, rest, strict=True):
                sum_so_far += more
            total += loss
        ctx.save_for_backward(torch.cat(slopes) if slopes else torch.zeros_like(hidden), *learning)
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        slope, *learning = ctx.saved_tensors
        scale = upstream[0]
        return (
            slope * scale.to(slope.dtype),
            None,
            None,
            None,
            *(each * scale.to(each.dtype) for each in learning),
        )


def _loss_and_slope(logits: torch.Tensor, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The summed cross-entropy of logits [positions, vocabulary] and its gradient, softmax less one at the target: with
    one tensor of the logits' size where autograd makes three."""
    logarithms = torch.log_softmax(logits, dim=-1)
    places = torch.arange(len(targets), device=targets.device), targets
    loss = -logarithms[places].sum()
    slope = logarithms.exp_()
    slope[places] -= 1
    return loss, slope

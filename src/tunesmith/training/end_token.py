"""Whether a model can learn to end its answers: a token that its pretraining never met cannot be told from others.

Such a token's row of the output head stands where initialisation and weight decay have left it, together with the rows
of all other tokens that were never met: Llama 3 ships its chat tokens like that in the base model, and small models
their unused bytes. Adapters that leave the head as it is move all of them at once, so the end never gets more than its
share of them, and the answers never end. Its own row then has to learn too, which is what PEFT's
`trainable_token_indices` is for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from tunesmith.training.rendering import Rendered

SAME_DIRECTION = 0.99
"""Cosine from which two rows are taken for one: rows of tokens that were met stay well apart, near-synonyms included
(0.84 at the 95th percentile of nearest neighbours in a chat model of 3 M parameters)."""
TWINS = 3
"""So many others make it one of a crowd. One or two may be spellings that training never had to tell apart."""
_NO_LENGTH = 1e-6


def end_tokens(rows: Sequence[Rendered], stop_ids: Iterable[int]) -> list[int]:
    """The tokens of `stop_ids` that the rows have among what is learned."""
    return sorted(set(stop_ids) & {label for row in rows for label in row.labels})


def untrained(model: Any, ids: Sequence[int]) -> list[int]:
    """Those of the tokens whose row of the model's output head, [vocabulary, hidden size], was never trained."""
    head = model.get_output_embeddings()
    weight = getattr(head, "weight", None)
    if weight is None or weight.ndim != 2 or not weight.is_floating_point():
        return []
    with torch.no_grad():
        rows = weight.float()
        lengths = rows.norm(dim=1)
        usual = lengths.median()
        found = []
        for token in ids:
            if lengths[token] <= _NO_LENGTH * usual:
                found.append(token)
                continue
            cosines = rows @ rows[token] / (lengths * lengths[token]).clamp_min(1e-12)
            if int((cosines > SAME_DIRECTION).sum()) > TWINS:
                found.append(token)
    return found

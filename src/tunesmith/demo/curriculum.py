"""What the demo base sees, in order.

The order matters: shown packed text from the start, a model this small spends its whole budget on word
statistics and never learns to look anything up.

1. A drill: random tokens, repeated. Only copying predicts them, so heads that copy form within a minute.
2. Documents, one a row: nothing but the document itself competes for attention.
3. Packed windows as long as the context, so that long inputs are no surprise.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

import torch

from tunesmith.demo.tokenizer import CONTEXT

IGNORED: Final = -100
"""Label of a position that carries no loss, as `cross_entropy` has it."""

_POOL: Final = 1000
"""Documents that are sorted by length together, so that rows of a batch need little padding."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids and labels, both of shape [rows, length]; the model shifts nothing, the loss does."""

    ids: torch.Tensor
    labels: torch.Tensor


def drill(
    steps: int, vocabulary: range, generator: torch.Generator, rows: int = 32, length: int = 32
) -> Iterator[Batch]:
    """Rows that repeat with a period of their own; the first period cannot be known and carries no loss."""
    position = torch.arange(length).unsqueeze(0)
    for _ in range(steps):
        period = torch.randint(3, length // 2 + 1, (rows, 1), generator=generator)
        noise = torch.randint(vocabulary.start, vocabulary.stop, (rows, length), generator=generator)
        ids = noise.gather(1, position % period)
        yield Batch(ids, ids.masked_fill(position < period, IGNORED))


def single_documents(
    documents: Iterator[list[int]], tokens: int, tokens_per_step: int, seed: int, pad: int
) -> Iterator[Batch]:
    """About `tokens` tokens: one document a row, rows of like length together, batches in random order."""
    rng = Random(seed)
    seen = 0
    while seen < tokens:
        pool = sorted((next(documents) for _ in range(_POOL)), key=len)
        batches: list[list[list[int]]] = [[]]
        for document in pool:
            if (len(batches[-1]) + 1) * len(document) > tokens_per_step:
                batches.append([])
            batches[-1].append(document)
        rng.shuffle(batches)
        for rows in batches:
            yield _padded(rows, pad)
            seen += sum(map(len, rows))
            if seen >= tokens:
                return


def packed_windows(documents: Iterator[list[int]], tokens: int, tokens_per_step: int) -> Iterator[Batch]:
    """Documents one after another, cut into windows of the whole context."""
    rows = max(1, tokens_per_step // CONTEXT)
    stream: list[int] = []
    for _ in range(tokens // (rows * CONTEXT)):
        while len(stream) < rows * CONTEXT:
            stream += next(documents)
        ids = torch.tensor(stream[: rows * CONTEXT]).view(rows, CONTEXT)
        del stream[: rows * CONTEXT]
        yield Batch(ids, ids)


def _padded(rows: list[list[int]], pad: int) -> Batch:
    """Padding goes to the right, where a causal model never looks back at it from a real token."""
    length = max(map(len, rows))
    ids = torch.tensor([row + [pad] * (length - len(row)) for row in rows])
    labels = torch.tensor([row + [IGNORED] * (length - len(row)) for row in rows])
    return Batch(ids, labels)

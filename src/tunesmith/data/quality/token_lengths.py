"""How long rows are in a base model's tokens, and which do not fit into its context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.rows import Row
from tunesmith.schemas.datasets import ModelName
from tunesmith.training.base_model import read_config, tokenizer_folder
from tunesmith.training.model import load_tokenizer

_CONTEXT_KEYS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length")


@dataclass(frozen=True)
class TokenLengths:
    """Counts tokens. `folder` holds the tokenizer; `context` is the most that the model reads, if it says.

    What a chat template puts around messages is not counted: planning does that exactly. Can be pickled.
    """

    folder: Path
    context: int | None

    def count(self, row: Row) -> int:
        """The tokens of all of a row's text."""
        encode = _tokenizer(self.folder).encode
        return sum(len(encode(text, add_special_tokens=False)) for text in _texts(row))

    def passes_context(self, row: Row) -> bool:
        """Whether a row has more tokens than the model can read. A token is at least a byte, so few need counting."""
        if self.context is None or sum(len(text.encode()) for text in _texts(row)) <= self.context:
            return False
        return self.count(row) > self.context


def lengths_in(model: ModelName | None) -> TokenLengths | None:
    """What counts in a model's tokens; None for None.

    Raises:
        ModelNotFound, HubUnavailable, HubAuth, UnsafeModel, UnsupportedModel: its tokenizer cannot be had.
    """
    if model is None:
        return None
    folder = tokenizer_folder(model.kind, model.name, model.path)
    config = read_config(folder)
    _tokenizer(folder)  # what is wrong with it shows now, and the processes that are forked later have it
    return TokenLengths(
        folder, next((config[key] for key in _CONTEXT_KEYS if isinstance(config.get(key), int)), None)
    )


@cache
def _tokenizer(folder: Path) -> Any:
    return load_tokenizer(folder)


def length_figures(counts: Sequence[int], context: int | None) -> dict[str, float]:
    """Median, 99th percentile and most of some rows' tokens, beside the model's context."""
    quantiles: Any = np.percentile(counts, (50, 99)).round()
    median, high = map(float, quantiles)
    figures = {"median_tokens": median, "p99_tokens": high, "most_tokens": float(max(counts))}
    return figures if context is None else figures | {"context_tokens": float(context)}


def _texts(row: Row) -> list[str]:
    if not row.messages:
        return [row.prompt, row.completion]
    return [text for message in row.messages for text in (message.content, message.tool_calls) if text]

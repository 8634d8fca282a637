"""What a plan is made from: figures about the model and the data, read without loading any weights."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunesmith.schemas.errors import EmptyMask
from tunesmith.training.base_model import read_config, safetensors_headers
from tunesmith.training.rendering import Rendered, Renderer, RowDropped
from tunesmith.training.targets import Matrix, adaptable_matrices

SAMPLED_ROWS = 2000
_DEFAULT_CONTEXT = 2048


@dataclass(frozen=True)
class ModelFacts:
    """Shape of a base model. `context` is in tokens; `stored_bytes` is what its weights take on disk."""

    hidden_size: int
    layers: int
    intermediate_size: int
    key_value_size: int
    vocabulary: int
    context: int
    parameters: int
    stored_bytes: int
    matrices: Sequence[Matrix]


@dataclass(frozen=True)
class DataFacts:
    """Token lengths of (a sample of) the training rows, uncut, shortest first; `example` is one of them.

    `prompt_lengths` are the tokens before the first one that carries loss, in the same order.
    """

    rows: int
    lengths: Sequence[int]
    prompt_lengths: Sequence[int]
    dropped: int
    example: Rendered

    def length_at(self, share: float) -> int:
        """The length that this share of the rows does not exceed."""
        return self.lengths[max(0, math.ceil(share * len(self.lengths)) - 1)]

    def share_longer_than(self, tokens: int) -> float:
        return sum(length > tokens for length in self.lengths) / len(self.lengths)

    def share_without_answer(self, tokens: int) -> float:
        """The share of rows whose prompt alone fills `tokens`: they cannot be trained on."""
        return sum(prompt >= tokens for prompt in self.prompt_lengths) / len(self.prompt_lengths)

    def mean_length(self, limit: int) -> float:
        return sum(min(length, limit) for length in self.lengths) / len(self.lengths)


def read_model_facts(folder: Path) -> ModelFacts:
    """Facts from config.json and the heads of the weights files.

    Raises:
        UnsupportedModel: a file is damaged, or transformers cannot build the model.
    """
    from transformers import AutoConfig

    matrices = adaptable_matrices(folder)
    raw = read_config(folder)
    config = AutoConfig.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    ).get_text_config()
    hidden = int(config.hidden_size)
    heads = int(getattr(config, "num_attention_heads", 1) or 1)
    head_size = int(getattr(config, "head_dim", None) or hidden // heads)
    parameters = stored = 0
    for _, size, header in safetensors_headers(folder):
        stored += size
        parameters += sum(math.prod(entry["shape"]) for key, entry in header.items() if key != "__metadata__")
    return ModelFacts(
        hidden_size=hidden,
        layers=int(config.num_hidden_layers),
        intermediate_size=int(getattr(config, "intermediate_size", None) or 4 * hidden),
        key_value_size=int(getattr(config, "num_key_value_heads", None) or heads) * head_size,
        vocabulary=int(config.vocab_size),
        context=_context(config, raw),
        parameters=parameters,
        stored_bytes=stored,
        matrices=matrices,
    )


def measure_rows(renderer: Renderer, rows: Iterable[Any], count: int) -> DataFacts:
    """Facts about `count` rows, from at most about 2,000 of them, evenly spread.

    Raises:
        EmptyMask: none of them can be rendered.
    """
    stride = max(1, count // SAMPLED_ROWS)
    rendered: list[Rendered] = []
    dropped = 0
    for index, row in enumerate(rows):
        if index % stride:
            continue
        try:
            rendered.append(renderer.render(row))
        except RowDropped:
            dropped += 1
    if not rendered:
        raise EmptyMask(
            "No row of the dataset has an answer that this model's template can mark.",
            "Load the data in another format (load_dataset, format=...), then call configure_lora again.",
        )
    rendered.sort(key=lambda row: len(row.input_ids))
    return DataFacts(
        rows=count,
        lengths=[len(row.input_ids) for row in rendered],
        prompt_lengths=[_first_loss(row) for row in rendered],
        dropped=dropped,
        example=rendered[len(rendered) // 2],
    )


def _first_loss(row: Rendered) -> int:
    return next(index for index, label in enumerate(row.labels) if label >= 0)


def _context(config: Any, raw: dict[str, Any]) -> int:
    for name in ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "seq_length"):
        value = getattr(config, name, None) or raw.get(name)
        if isinstance(value, int) and value > 0:
            return value
    return _DEFAULT_CONTEXT

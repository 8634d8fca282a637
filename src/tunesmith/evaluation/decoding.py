"""Greedy decoding of a batch that is read in parts and that rows leave when they have ended.

transformers' own loop reads all prompts at once and computes every row until the last one ends. On a processor both
cost more than they gain: scores of long prompts, rows times heads times length squared, do not fit into its caches,
and half of the rows of a batch have ended when its longest answer is half written. Here a few prompts are read at a
time, with no more padding than they need, and rows that have ended are not computed any more.

It is given to `generate` as `custom_generate`: inputs, positions, cache and adapters stay with transformers and PEFT.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import pad
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from tunesmith.evaluation.batching import batches

READ_TOKENS = 512
"""Most tokens of prompts, padding included, that are read at once; a longer prompt is read alone."""
_SHRINKING = (DynamicLayer, DynamicSlidingWindowLayer)
"""Layers derived from these (state-space and hybrid ones) keep more of a row than they would let go of."""
_LINES = ("attention_mask", "position_ids")
"""What a step is given beside tokens and cache, a line for each row."""


@dataclass(frozen=True)
class GreedyLoop:
    """Takes the likeliest token of each row until it is one of `stop_ids`, or the row has as many as `limits` says.

    `interrupted` is asked after each step; once it says so, all rows end.
    """

    stop_ids: frozenset[int]
    limits: Sequence[int]
    interrupted: Callable[[], bool]

    def __call__(
        self,
        model: Any,
        input_ids: torch.Tensor,
        logits_processor: Any,
        stopping_criteria: Any,
        generation_config: Any,
        **inputs: Any,
    ) -> list[list[int]]:
        """The new tokens of each row, the one that ended it among them; at least one.

        Called by `generate` with what it has prepared. Processors and criteria are what `GenerationConfig` brings: none
        where it asks for greedy decoding and nothing else.
        """
        written: list[list[int]] = [[] for _ in self.limits]
        rows = list(range(len(written)))
        tokens, inputs = _read(model, input_ids, inputs)
        while True:
            input_ids = torch.cat([input_ids, tokens[:, None]], dim=1)
            going_on = self._note(written, rows, tokens.tolist())
            if not going_on or self.interrupted():
                return written
            if len(going_on) < len(rows) and _holds(inputs, _SHRINKING):
                rows = [rows[line] for line in going_on]
                input_ids = _shrink(input_ids, inputs, torch.tensor(going_on, device=input_ids.device))
            newest = 1 if inputs["use_cache"] else None
            outputs = _step(model, input_ids, inputs, next_sequence_length=newest)
            tokens, inputs = _likeliest(outputs), model._update_model_kwargs_for_generation(outputs, inputs)

    def _note(self, written: list[list[int]], rows: Sequence[int], tokens: Sequence[int]) -> list[int]:
        """Put down the token of each row that has not ended; returns the lines of those that have not ended yet."""
        going_on = []
        for line, (row, token) in enumerate(zip(rows, tokens, strict=True)):
            so_far = written[row]
            if so_far and self._is_end(row, so_far):
                continue
            so_far.append(token)
            if not self._is_end(row, so_far):
                going_on.append(line)
        return going_on

    def _is_end(self, row: int, so_far: Sequence[int]) -> bool:
        return so_far[-1] in self.stop_ids or len(so_far) >= self.limits[row]


def _read(model: Any, input_ids: torch.Tensor, inputs: dict[str, Any]) -> tuple[torch.Tensor, dict[str, Any]]:
    """The first token of each row and what the next step is given, the prompts taken a few rows at a time where their
    caches can be put together."""
    width, mask = input_ids.shape[1], inputs.get("attention_mask")
    lengths = [width] * len(input_ids) if mask is None else mask.sum(dim=1).tolist()
    parts = batches(
        range(len(lengths)), lambda part: len(part) * max(lengths[line] for line in part) <= READ_TOKENS
    )
    if not _holds(inputs, (DynamicLayer,)):
        parts = [list(range(len(lengths)))]
    tokens, caches = [], []
    for part in parts:
        lines, length = slice(part[0], part[-1] + 1), max(lengths[line] for line in part)
        given = inputs
        if len(parts) > 1:
            given = {**inputs, "past_key_values": deepcopy(inputs["past_key_values"])}
            given |= {name: given[name][lines, -length:] for name in _LINES if given.get(name) is not None}
        outputs = _step(model, input_ids[lines, -length:], given, is_first_iteration=True)
        tokens.append(_likeliest(outputs))
        if outputs.get("past_key_values") is not None:
            caches.append((outputs.past_key_values, width - length))
    if len(caches) > 1:
        outputs["past_key_values"] = _joined(caches)
    return torch.cat(tokens), model._update_model_kwargs_for_generation(outputs, inputs)


def _step(model: Any, input_ids: torch.Tensor, inputs: dict[str, Any], **kind: Any) -> Any:
    return model(**model.prepare_inputs_for_generation(input_ids, **kind, **inputs), return_dict=True)


def _likeliest(outputs: Any) -> torch.Tensor:
    return outputs.logits[:, -1].argmax(dim=-1)


def _holds(inputs: dict[str, Any], layers: tuple[type, ...]) -> bool:
    """Whether what a step is given has one line for each row, in a cache of these layers and beside it."""
    cache = inputs.get("past_key_values")
    return (
        isinstance(cache, DynamicCache)
        and all(type(layer) in layers for layer in cache.layers)
        and not any(isinstance(value, torch.Tensor) for name, value in inputs.items() if name not in _LINES)
    )


def _joined(parts: Sequence[tuple[DynamicCache, int]]) -> DynamicCache:
    """One cache of the rows of all, each put that many tokens further to the right, where nothing attends to."""
    whole = parts[0][0]
    for number, layer in enumerate(whole.layers):
        for name in ("keys", "values") if layer.is_initialized else ():
            states = [pad(getattr(cache.layers[number], name), (0, 0, short, 0)) for cache, short in parts]
            setattr(layer, name, torch.cat(states))
    return whole


def _shrink(input_ids: torch.Tensor, inputs: dict[str, Any], lines: torch.Tensor) -> torch.Tensor:
    """Keep these lines of everything that a step is given; returns the tokens."""
    inputs["past_key_values"].batch_select_indices(lines)
    for name in _LINES:
        if inputs.get(name) is not None:
            inputs[name] = inputs[name][lines]
    return input_ids[lines]

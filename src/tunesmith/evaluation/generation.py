"""Answers written by a model: batched decoding whose result does not depend on what shares the batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from transformers import GenerationConfig

from tunesmith.evaluation.batching import batches
from tunesmith.evaluation.decoding import GreedyLoop
from tunesmith.evaluation.scoring import occupied_positions, without_adapter

BATCH_ROWS = 64
BATCH_TOKENS = 8192
"""Most tokens of a batch, prompts, padding and answers together: what the key-value cache holds."""


@dataclass(frozen=True)
class Prompt:
    """Token ids to continue, and how many tokens to write at most."""

    ids: Sequence[int]
    max_new_tokens: int


@dataclass(frozen=True)
class Decoding:
    """`temperature` 0 takes the likeliest token; above it tokens are drawn from the nucleus of probability `top_p`:
    the likeliest tokens that together reach it (Holtzman et al., "The curious case of neural text degeneration",
    ICLR 2020), which is the whole distribution at 1.
    """

    stop_ids: Sequence[int]
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Written:
    """The text behind a prompt, without the token that ended it."""

    text: str
    new_tokens: int
    stopped: Literal["eos", "length"]


def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Prompt],
    decoding: Decoding,
    *,
    on_batch: Callable[[int], None],
    interrupted: Callable[[], bool],
) -> list[Written]:
    """What the model writes behind each prompt, in the order of `prompts`.

    Prompts of like length are batched, padded on the left. A model that learned a prompt or a prefix is given prompts
    of one length at a time, because padding would stand between what it learned and the prompt. Drawn tokens come
    from `seed` + the prompt's place in the list, one prompt at a time. An empty prompt starts from the end-of-text
    token.

    `on_batch` is told after each batch how many prompts were in it; once `interrupted` says so the batch
    under way ends early and `on_batch`, which is then called, should raise.
    """
    longest = context_tokens(model)
    ids = [list(prompt.ids) or [tokenizer.eos_token_id] for prompt in prompts]
    limits = [
        max(0, min(prompt.max_new_tokens, longest - len(tokens)))
        for prompt, tokens in zip(prompts, ids, strict=True)
    ]
    apart = occupied_positions(model) > 0

    def fits(batch: list[int]) -> bool:
        lengths = [len(ids[index]) for index in batch]
        room = max(lengths) + max(limits[index] for index in batch)
        if max(lengths) + max(limits[index] for index in batch) > longest or (
            apart and len(set(lengths)) > 1
        ):
            return False
        return decoding.temperature == 0 and len(batch) <= BATCH_ROWS and len(batch) * room <= BATCH_TOKENS

    written: dict[int, Written] = {}
    with _own_decoding(model):
        # Prompts of like length, for the least padding; answers leave their batch when they have ended.
        order = sorted(range(len(ids)), key=lambda index: (len(ids[index]), limits[index]))
        for batch in batches(order, fits):
            torch.manual_seed(decoding.seed + batch[0])
            new = _continue(
                model,
                tokenizer,
                [ids[i] for i in batch],
                [limits[i] for i in batch],
                decoding,
                interrupted,
            )
            for index, tokens in zip(batch, new, strict=True):
                written[index] = _written(tokenizer, tokens[: limits[index]], decoding.stop_ids)
            on_batch(len(batch))
    return [written[index] for index in range(len(prompts))]


def context_tokens(model: Any) -> int:
    """How many tokens of input and output together the model has positions for."""
    config = without_adapter(model).config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "seq_length"):
        if isinstance(getattr(config, name, None), int):
            return int(getattr(config, name)) - occupied_positions(model)
    return 2**20


def stop_ids(model: Any, tokenizer: Any) -> list[int]:
    """The tokens that end a text according to the tokenizer and to the model's own settings."""
    own = getattr(without_adapter(model).generation_config, "eos_token_id", None)
    named = own if isinstance(own, list) else [own]
    return sorted({token for token in (tokenizer.eos_token_id, *named) if token is not None})


@contextmanager
def _own_decoding(model: Any) -> Iterator[None]:
    """Leave out the sampling, penalties and length rules that a model brings along beside its weights."""
    inner = without_adapter(model)
    brought, inner.generation_config = inner.generation_config, GenerationConfig()
    try:
        yield
    finally:
        inner.generation_config = brought


def _continue(
    model: Any,
    tokenizer: Any,
    ids: list[list[int]],
    limits: list[int],
    decoding: Decoding,
    interrupted: Callable[[], bool],
) -> list[list[int]]:
    if max(limits) == 0:
        return [[] for _ in ids]
    device = next(model.parameters()).device
    width = max(len(tokens) for tokens in ids)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    padded = torch.tensor([[pad] * (width - len(tokens)) + tokens for tokens in ids], device=device)
    mask = torch.tensor([[0] * (width - len(tokens)) + [1] * len(tokens) for tokens in ids], device=device)
    settings = {"max_new_tokens": max(limits), "eos_token_id": list(decoding.stop_ids), "pad_token_id": pad}
    options: dict[str, Any]
    if decoding.temperature == 0:
        options = {"custom_generate": GreedyLoop(frozenset(decoding.stop_ids), limits, interrupted)}
    else:
        settings |= {
            "do_sample": True, "temperature": decoding.temperature, "top_k": 0, "top_p": decoding.top_p,
        }  # fmt: skip
        options = {"stopping_criteria": [_ends_when(interrupted)]}
    with torch.inference_mode():
        output = model.generate(
            input_ids=padded, attention_mask=mask, generation_config=GenerationConfig(**settings), **options
        )
    return output if decoding.temperature == 0 else [row[width:] for row in output.tolist()]


def _ends_when(interrupted: Callable[[], bool]) -> Callable[..., torch.Tensor]:
    def ends(input_ids: torch.Tensor, _scores: Any, **_: Any) -> torch.Tensor:
        return torch.full((len(input_ids),), interrupted(), dtype=torch.bool, device=input_ids.device)

    return ends


def _written(tokenizer: Any, tokens: list[int], stops: Sequence[int]) -> Written:
    end = next((at for at, token in enumerate(tokens) if token in stops), None)
    text = tokenizer.decode(tokens[:end], skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return Written(text, len(tokens) if end is None else end + 1, "length" if end is None else "eos")

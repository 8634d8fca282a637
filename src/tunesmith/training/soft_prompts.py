"""Soft prompts and prefixes: which tokens they begin as, how long they are, and which shape they have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunesmith.schemas.errors import InvalidArgument


def text_tokens(tokenizer: Any, text: str) -> list[int]:
    """The tokens that a soft prompt begins as: those of the text alone, without a beginning-of-text token.

    Raises:
        InvalidArgument: the text has no tokens.
    """
    ids = list(tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))
    if not ids:
        raise InvalidArgument(
            "prompt_tuning_init_text has no tokens.", "Pass a sentence that says what to do, or leave it out."
        )
    return ids


def initial_tokens(tokenizer: Any, embedding_rows: int, text: str | None, count: int) -> Any:
    """`count` token ids to begin as: the text's, cut or repeated, or ordinary ones of the vocabulary at random.

    Real tokens learn better than noise (arXiv:2104.08691, section 3.2, for prompts; arXiv:2101.00190, section 7.4,
    for prefixes). Special tokens are not drawn: their embeddings carry other meanings or none.
    """
    import torch

    if text is not None:
        ids = text_tokens(tokenizer, text)
        return torch.tensor([ids[place % len(ids)] for place in range(count)])
    special = set(tokenizer.all_special_ids) | set(tokenizer.added_tokens_decoder)
    ordinary = sorted(
        number
        for number in tokenizer.get_vocab().values()
        if number < embedding_rows and number not in special
    )
    return torch.tensor(ordinary)[torch.randint(len(ordinary), (count,))]


def begin_prompt_as(model: Any, ids: Any) -> None:
    """Set a prompt-tuning model's virtual tokens [tokens, embedding size] to the embeddings of `ids`."""
    import torch

    weight = model.prompt_encoder[model.active_adapter].embedding.weight
    with torch.no_grad():
        weight.copy_(model.word_embeddings(ids.to(weight.device)).to(weight.dtype))


def begin_prefix_as(model: Any, ids: Any) -> None:
    """Set a prefix-tuning model's prefix to the keys and values that the base computes for `ids`."""
    import torch
    from peft.tuners.cartridge.utils import initialize_kv_prefix_from_past_key_values

    base = model.get_base_model()
    was_training = base.training
    base.eval()
    with torch.no_grad():
        cache = base(input_ids=ids.unsqueeze(0).to(model.device), use_cache=True).past_key_values
    base.train(was_training)
    initialize_kv_prefix_from_past_key_values(model, past_key_values=cache)


def prefix_shape(model: Any, ids: Any) -> tuple[int, int, int] | None:
    """Layers, heads and width of the keys that the base keeps for a token, where all layers keep alike.

    PEFT guesses them from names in config.json, which not every architecture uses. `ids`: [1, tokens].
    """
    import torch

    try:
        with torch.no_grad():
            out = model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=True)
    except (RuntimeError, NotImplementedError):
        if ids.device.type != "meta":
            raise
        return None  # an architecture that looks at numbers cannot be asked without any
    layers: Sequence[Any] = getattr(getattr(out, "past_key_values", None), "layers", ())
    shapes = {
        (layer.keys.shape[1], layer.keys.shape[3]) if layer.keys.shape == layer.values.shape else None
        for layer in layers
        if getattr(layer, "keys", None) is not None
    }
    shape = shapes.pop() if len(shapes) == 1 else None
    return None if shape is None else (len(layers), *shape)

"""A tuning method tried out on an architecture without its weights: shapes are computed, numbers are not.

Which architectures PEFT can do what with is written down nowhere and changes with every release; so PEFT is asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunesmith.evaluation.scoring import virtual_tokens
from tunesmith.schemas.enums import TuningMethod
from tunesmith.schemas.plans import PlanConfig
from tunesmith.training.architecture import bare_model
from tunesmith.training.methods import peft_config

_TOKENS = 8
_ERRORS = (ValueError, TypeError, AttributeError, KeyError, IndexError, AssertionError, RuntimeError)
_NO_NUMBERS = ("meta tensor", "no data", "unsupported scalarType")
"""What torch says where a computation looks at numbers, which there are none of: that tells nothing about PEFT."""

_WRITES_OTHERWISE: dict[TuningMethod, set[str]] = {
    # A state that is carried on knows nothing of embeddings put before the first token, or generation takes none.
    TuningMethod.PROMPT_TUNING: {"mamba2", "rwkv", "xlm", "xlstm"},
    # They count positions from the input's tokens, which a prefix shifts.
    TuningMethod.PREFIX_TUNING: {
        "camembert", "data2vec-text", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "mamba2",
    },
}  # fmt: skip
"""Where training works and generation does not, or writes another text than the logits of training say. Found by
generating with every architecture (tests/unit/training/test_architectures.py)."""


def why_it_fails(folder: Path, config: PlanConfig) -> str | None:
    """What stands between the plan's method and the architecture in `folder`; None where nothing does.

    Raises:
        UnsupportedModel: transformers cannot build the model at all.
    """
    if config.tuning_method is TuningMethod.FULL:
        return None
    model = bare_model(folder, attn_implementation="eager", experts_implementation="batched_mm")
    if model.config.model_type in _WRITES_OTHERWISE.get(config.tuning_method, ()):
        return f"a tuned {model.config.model_type} would not write what it learned"
    try:
        with_adapter = _attached(model, config)
    except _ERRORS as error:
        return None if _says_nothing(error) else _told(error)
    return _why_forward_fails(with_adapter, _TOKENS + virtual_tokens(with_adapter))


def _attached(model: Any, config: PlanConfig) -> Any:
    import torch
    from peft import get_peft_model

    # Decomposing weights takes numbers; the shapes are the same with any initialisation.
    plain = config.model_copy(update={"init_lora_weights": "default"})
    with torch.device("meta"):
        return get_peft_model(model, peft_config(plain, model))


def _why_forward_fails(model: Any, positions: int) -> str | None:
    """Tried with a padding mask and without: each makes some architectures look at numbers.

    `positions`: how many there have to be logits for.
    """
    import torch

    ids = torch.zeros((1, _TOKENS), dtype=torch.long, device="meta")
    reasons = []
    for more in ({"attention_mask": torch.ones_like(ids)}, {}):
        try:
            with torch.no_grad():
                found = model(input_ids=ids, use_cache=False, **more).logits.shape[1]
        except _ERRORS as error:
            reasons += [] if _says_nothing(error) else [_told(error)]
        else:
            return (
                None
                if found == positions
                else f"it gives logits for {found} positions instead of {positions}"
            )
    return reasons[0] if reasons else None


def _says_nothing(error: Exception) -> bool:
    return isinstance(error, NotImplementedError) or any(words in str(error) for words in _NO_NUMBERS)


def _told(error: Exception) -> str:
    first = str(error).strip().split("\n")[0][:160].rstrip(".")
    return f"PEFT fails on this architecture ({type(error).__name__}: {first})"

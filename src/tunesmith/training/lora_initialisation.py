"""PiSSA and OLoRA begin with the principal part of the weights, which PEFT takes out of the base model.

So their adapters fit the base that was changed, and no other. They are written as what they add to the *original*
base, an ordinary LoRA of twice the rank, which plain PEFT can load on it:

    W + dW = (W - s B0 A0) + s B A    so    dW = s (B A - B0 A0) = s [B, -B0] [A; A0]

with A0, B0 the initial weights and s the scale, which stays as it is when alpha grows with the rank
(peft.tuners.lora.LoraModel.subtract_mutated_init does the same from an adapter on disk).
"""

from __future__ import annotations

import copy
import math
from typing import Any

_KEPT = "tunesmith_initial_lora_weights"


def keep_initial_weights(model: Any) -> None:
    """Remember a fresh adapter's weights on the processor, for `as_ordinary_lora`."""
    from peft import get_peft_model_state_dict

    state = get_peft_model_state_dict(model, save_embedding_layers=False)
    setattr(model, _KEPT, {name: tensor.detach().to("cpu", copy=True) for name, tensor in state.items()})


def changes_the_base(model: Any) -> bool:
    """Whether the adapter was begun with a part of the base's weights."""
    return hasattr(model, _KEPT)


def as_ordinary_lora(model: Any) -> tuple[dict[str, Any], Any]:
    """The adapter's tensors by name and its PEFT configuration, as they fit the original base."""
    import torch
    from peft import get_peft_model_state_dict

    initial = getattr(model, _KEPT)
    tensors = {}
    for name, tensor in get_peft_model_state_dict(model, save_embedding_layers=False).items():
        if ".lora_" not in name:  # a token's own row: it begins as the base's, which stays as it is
            tensors[name] = tensor.detach().to("cpu", copy=True).contiguous()
            continue
        now, then = tensor.detach().to("cpu", torch.float32), initial[name].to(torch.float32)
        # lora_A is [r, inputs], lora_B is [outputs, r].
        tensors[name] = (
            torch.cat([now, then], dim=0) if ".lora_A." in name else torch.cat([now, -then], dim=1)
        ).contiguous()
    config = copy.deepcopy(model.active_peft_config)
    config.r *= 2
    # The scale is alpha / r, and alpha / sqrt(r) with rank stabilisation.
    config.lora_alpha *= math.sqrt(2) if config.use_rslora else 2
    config.init_lora_weights = True
    config.inference_mode = True
    return tensors, config

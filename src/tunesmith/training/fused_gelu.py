"""The tanh approximation of GELU in one operation: written out, as older architectures have it, it takes eight."""

from __future__ import annotations

from typing import Any

import torch
from transformers.activations import FastGELUActivation, NewGELUActivation

_WRITTEN_OUT = (NewGELUActivation, FastGELUActivation)
"""The same formula (arXiv:1606.08415, section 2), the second one multiplied out."""


def fuse_gelu(model: Any) -> None:
    """Replace the activations of `model` that are written out, in GPT-2, GPT-Neo, Phi and others."""
    for module in model.modules():
        for name, child in module.named_children():
            if type(child) in _WRITTEN_OUT:
                setattr(module, name, torch.nn.GELU(approximate="tanh"))

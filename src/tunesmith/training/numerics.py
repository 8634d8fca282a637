"""In what numbers a training computes: precision, attention, optimizer."""

from __future__ import annotations

from tunesmith.schemas.enums import TuningMethod
from tunesmith.schemas.plans import Attention, Optimizer, Precision, Quantization
from tunesmith.training.activations import WIDTHS
from tunesmith.training.facts import ModelFacts
from tunesmith.training.hardware import Hardware
from tunesmith.training.notes import Notes

_FASTER_IN_BFLOAT16 = 50_000_000
"""Weights from which bfloat16 pays on a processor that multiplies it natively. Measured with LoRA on two cores with
AMX: 447 tokens/s for 290 with 135 million weights; with 3 million weights float32 is faster."""
_HALF_OF_MEMORY = 0.5


def choose_precision(
    model: ModelFacts, hardware: Hardware, method: TuningMethod, quantized: bool, notes: Notes
) -> Precision:
    """What is computed in, and for a frozen base what its weights are held in.

    bfloat16 wherever the hardware has it: it has float32's range and needs no loss scaling (arXiv:1905.12322).
    """
    precision, notes.reasons["precision"] = (
        _on_processor(model, hardware, method, quantized)
        if hardware.kind == "cpu"
        else _on_accelerator(hardware, method)
    )
    return precision


def _on_accelerator(hardware: Hardware, method: TuningMethod) -> tuple[Precision, str]:
    if hardware.bfloat16:
        return "bfloat16", f"{hardware.name} computes in bfloat16"
    if method is TuningMethod.FULL or hardware.kind == "mps":
        why = "all weights learn" if method is TuningMethod.FULL else "float16 there has no loss scaling"
        return "float32", f"{hardware.name} has no bfloat16, and {why}"
    return "float16", f"{hardware.name} has no bfloat16"


def _on_processor(
    model: ModelFacts, hardware: Hardware, method: TuningMethod, quantized: bool
) -> tuple[Precision, str]:
    exact = "no accelerator: float32 is exact, and as fast on a processor"
    if method is TuningMethod.FULL:
        return "float32", "no accelerator: all weights learn, and their updates need float32"
    if hardware.bfloat16 and model.parameters >= _FASTER_IN_BFLOAT16:
        return "bfloat16", "this processor multiplies bfloat16 natively: faster for a base of this size"
    weights = model.parameters * WIDTHS["float32"]
    if not quantized and weights > _HALF_OF_MEMORY * hardware.memory_bytes:
        return "bfloat16", "float32 weights would take over half of the memory; bfloat16 halves them"
    return "float32", exact


def choose_attention(model: ModelFacts, hardware: Hardware, packing: bool, notes: Notes) -> Attention:
    """How attention is computed; each way gives the same numbers up to rounding."""
    ways = model.attention.implementations
    if hardware.flash_attention and "flash_attention_2" in ways and not packing:
        notes.reasons["attn_implementation"] = (
            "flash-attn is installed, and takes least memory (arXiv:2307.08691)"
        )
        return "flash_attention_2"
    if "sdpa" in ways:
        notes.reasons["attn_implementation"] = "torch's fused attention" + (
            ", which takes the mask that packed rows need" if packing else ""
        )
        return "sdpa"
    notes.reasons["attn_implementation"] = f"{model.attention.model_type} has no fused attention"
    return "eager"


def usual_optimizer(hardware: Hardware) -> Optimizer:
    """AdamW; fused on CUDA and ROCm, where one kernel updates all weights without copies of them."""
    return "adamw_torch_fused" if hardware.kind in ("cuda", "rocm") else "adamw_torch"


def explain_optimizer(optim: Optimizer, notes: Notes) -> None:
    """Say why this optimizer."""
    notes.reasons["optim"] = {
        "adamw_torch": "AdamW (arXiv:1711.05101)",
        "adamw_torch_fused": "AdamW (arXiv:1711.05101) in one kernel, which needs no copies of the weights",
        "adamw_8bit": "it would not fit with 32-bit optimizer states (8-bit ones: arXiv:2110.02861)",
    }[optim]


def choose_quantization(
    method: TuningMethod, asked: Quantization | None, notes: Notes
) -> Quantization | None:
    """Nf4 for QLoRA unless int8 was asked for."""
    chosen: Quantization | None = asked or ("nf4" if method is TuningMethod.QLORA else None)
    if chosen == "nf4":
        notes.reasons["quantization"] = "four-bit base weights, doubly quantized (arXiv:2305.14314)"
    elif chosen == "int8":
        notes.reasons["quantization"] = "as you asked: base weights of one byte (arXiv:2208.07339)"
    return chosen

"""Whether a tuning method can be used on a base model: found out before any weights are loaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tunesmith.schemas.enums import TuningMethod
from tunesmith.schemas.errors import InvalidArgument, UnsupportedModel
from tunesmith.schemas.plans import PlanConfig
from tunesmith.training.method_trial import why_it_fails
from tunesmith.training.model import require_bitsandbytes
from tunesmith.training.targets import Matrix, adapted, largest_useful_rank

_LEAVE_OUT_INIT = "Leave init_lora_weights out, or"


def check_method(folder: Path, config: PlanConfig, matrices: Sequence[Matrix]) -> list[str]:
    """Look at a plan's method beside the base model in `folder`; returns what to warn of.

    The last look is a real one: PEFT attaches the adapter to the architecture without its weights.

    Raises:
        MissingExtra: the plan quantizes, and bitsandbytes is not installed.
        InvalidArgument: a LoRA option that these weights cannot have, or a rank beyond every matrix.
        UnsupportedModel: PEFT cannot put this method on this architecture.
    """
    if config.quantization is not None:
        require_bitsandbytes(config.quantization)
    warnings = []
    if config.tuning_method in (TuningMethod.LORA, TuningMethod.QLORA):
        chosen = adapted(config.target_modules or (), matrices)
        _check_initialisation(config, chosen)
        warnings += _check_rank(config, chosen)
    reason = why_it_fails(folder, config)
    if reason is not None:
        raise UnsupportedModel(
            f"{config.base_model} cannot take tuning_method={config.tuning_method.value!r}: {reason}.",
            "Call configure_lora with tuning_method='lora' and without target_modules, or choose another base model."
            if config.tuning_method is not TuningMethod.LORA
            else "Leave target_modules out or name other layers, or choose another base model.",
        )
    return warnings


def _check_initialisation(config: PlanConfig, matrices: Sequence[Matrix]) -> None:
    """PiSSA and OLoRA take a part out of the base's weights; what is saved has to fit the weights as they were."""
    init = config.init_lora_weights
    if init == "default":
        return
    if config.quantization is not None:
        raise InvalidArgument(
            f"init_lora_weights={init!r} does not go with quantization={config.quantization!r}: the rest of the "
            "weights would be quantized anew, and the adapter would fit no base model that can be had.",
            f"{_LEAVE_OUT_INIT} use tuning_method='lora' without quantization.",
        )
    if config.use_dora:
        raise InvalidArgument(
            f"init_lora_weights={init!r} does not go with use_dora: an adapter that has both cannot be written so "
            "that it fits the original base model.",
            "Use one of the two.",
        )
    if init == "olora" and any(matrix.transposed for matrix in matrices):
        raise InvalidArgument(
            f"init_lora_weights='olora' does not work on {config.base_model}: PEFT decomposes its transposed "
            "matrices (Conv1D) the wrong way round.",
            f"{_LEAVE_OUT_INIT} use 'pissa'.",
        )
    least = min((matrix.full_rank for matrix in matrices), default=0)
    if (config.r or 0) > least:
        raise InvalidArgument(
            f"r is {config.r}, but init_lora_weights={init!r} takes r singular or orthogonal vectors out of every "
            f"matrix, and one of {', '.join(config.target_modules or [])} has only {least}.",
            f"Use an r of at most {least}, or leave init_lora_weights out.",
        )


def _check_rank(config: PlanConfig, matrices: Sequence[Matrix]) -> list[str]:
    r, names = config.r or 0, ", ".join(config.target_modules or [])
    most = largest_useful_rank(config.target_modules or (), matrices)
    if r > most:
        raise InvalidArgument(
            f"r is {r}, but no matrix of {names} has a rank above {most}: more than that adds weights and nothing "
            "that could be learned.",
            f"Use an r of at most {most}.",
        )
    small = sorted({matrix.short_name for matrix in matrices if matrix.full_rank < r})
    if not small:
        return []
    return [
        f"r {r} is more than the full rank of {', '.join(small)}: it adds weights there, and nothing to learn."
    ]

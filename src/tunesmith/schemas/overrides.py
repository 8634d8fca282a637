"""The caller's own numbers: each is honoured or refused, none is silently ignored."""

from __future__ import annotations

import math
from collections.abc import Callable

from tunesmith.schemas.enums import TuningMethod
from tunesmith.schemas.errors import InvalidArgument
from tunesmith.schemas.plans import ConfigureRequest

SHORTEST_ROW = 8
_LORA_ONLY = ("r", "alpha", "dropout", "target_modules", "use_rslora", "use_dora", "init_lora_weights")
_LORA = (TuningMethod.LORA, TuningMethod.QLORA)

_RANGES: dict[str, tuple[Callable[[float], bool], str]] = {
    "learning_rate": (lambda value: 0 < value <= 1, "above 0 and at most 1"),
    "batch_size": (lambda value: 1 <= value <= 65_536, "from 1 to 65536"),
    "epochs": (lambda value: 0 < value <= 10_000, "above 0 and at most 10000"),
    "max_steps": (lambda value: 1 <= value <= 10_000_000, "from 1 to 10000000"),
    "max_length": (lambda value: value >= SHORTEST_ROW, f"at least {SHORTEST_ROW} tokens"),
    "r": (lambda value: 1 <= value <= 4096, "from 1 to 4096"),
    "alpha": (lambda value: 1 <= value <= 65_536, "from 1 to 65536"),
    "dropout": (lambda value: 0 <= value < 1, "from 0 to below 1"),
    "num_virtual_tokens": (lambda value: 1 <= value <= 4096, "from 1 to 4096"),
    "seed": (lambda value: 0 <= value < 2**32, "from 0 to 4294967295"),
}


def check_overrides(request: ConfigureRequest) -> None:
    """Look at the request alone.

    Raises:
        InvalidArgument: a number is out of its range, or means nothing for the tuning method.
    """
    for name, (allowed, what) in _RANGES.items():
        value = getattr(request, name)
        if isinstance(value, int | float) and not (math.isfinite(value) and allowed(value)):
            raise InvalidArgument(
                f"{name} is {value}, but has to be {what}.",
                f"Call configure_lora with such a {name}, or leave it out to have one chosen.",
            )
    _check_belonging(request)
    _check_quantization(request)
    text = request.prompt_tuning_init_text
    if text is not None and not text.strip():
        raise InvalidArgument(
            "prompt_tuning_init_text is empty.",
            "Leave it out to have random words chosen, or describe the task in it.",
        )


def _check_belonging(request: ConfigureRequest) -> None:
    """Each option belongs to some tuning methods, and means nothing for the others."""
    method = request.tuning_method
    lora = [name for name in _LORA_ONLY if getattr(request, name) not in (None, False, "default")]
    if lora and method not in _LORA:
        raise _means_nothing(lora, method, "'lora' or 'qlora'")
    if request.num_virtual_tokens is not None and not method.is_prompt_learning:
        raise _means_nothing(["num_virtual_tokens"], method, "'prompt_tuning' or 'prefix_tuning'")
    if request.prompt_tuning_init_text is not None and method is not TuningMethod.PROMPT_TUNING:
        raise _means_nothing(["prompt_tuning_init_text"], method, "'prompt_tuning'")


def _check_quantization(request: ConfigureRequest) -> None:
    """Quantized weights stay as they are: what learns them, or takes a part out of them, cannot have them."""
    method = request.tuning_method
    quantized = request.quantization is not None or method is TuningMethod.QLORA
    if request.quantization is not None and method not in _LORA:
        full = method is TuningMethod.FULL
        raise InvalidArgument(
            f"quantization={request.quantization!r} does not go with tuning_method {method.value!r}: "
            + ("quantized weights cannot learn." if full else "it would save next to nothing."),
            "Leave quantization out, or use tuning_method='qlora'.",
        )
    if quantized and request.init_lora_weights != "default":
        raise InvalidArgument(
            f"init_lora_weights={request.init_lora_weights!r} takes a part out of the base's weights, which quantized "
            "ones do not allow.",
            "Leave init_lora_weights out, or use tuning_method='lora' without quantization.",
        )


def _means_nothing(names: list[str], method: TuningMethod, methods: str) -> InvalidArgument:
    return InvalidArgument(
        f"{', '.join(names)} mean nothing for tuning_method {method.value!r}.",
        f"Leave them out, or use tuning_method={methods}.",
    )

"""The caller's own numbers: each is honoured or refused, none is silently ignored."""

from __future__ import annotations

import math
from collections.abc import Callable

from tunesmith.schemas.enums import TuningMethod
from tunesmith.schemas.errors import InvalidArgument
from tunesmith.schemas.plans import ConfigureRequest

SHORTEST_ROW = 8
_LORA_ONLY = ("r", "alpha", "dropout", "target_modules")
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
    "seed": (lambda value: 0 <= value < 2**32, "from 0 to 4294967295"),
}


def check_overrides(request: ConfigureRequest) -> None:
    """Look at the request alone.

    Raises:
        InvalidArgument: a number is out of its range, or means nothing for the tuning method.
    """
    for name, (allowed, what) in _RANGES.items():
        value = getattr(request, name)
        if value is not None and not (math.isfinite(value) and allowed(value)):
            raise InvalidArgument(
                f"{name} is {value}, but has to be {what}.",
                f"Call configure_lora with such a {name}, or leave it out to have one chosen.",
            )
    method = request.tuning_method
    given = [name for name in _LORA_ONLY if getattr(request, name) is not None]
    if given and method not in _LORA:
        raise InvalidArgument(
            f"{', '.join(given)} mean nothing for tuning_method {method.value!r}.",
            "Leave them out, or use tuning_method='lora' or 'qlora'.",
        )
    if request.quantization is not None and method not in _LORA:
        raise InvalidArgument(
            f"quantization={request.quantization!r} does not go with tuning_method {method.value!r}: "
            + (
                "quantized weights cannot learn."
                if method is TuningMethod.FULL
                else "it would save next to nothing."
            ),
            "Leave quantization out, or use tuning_method='qlora'.",
        )

"""What would make a training fit, in order of cost: arguments for configure_lora."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tunesmith.schemas.enums import TuningMethod
from tunesmith.schemas.overrides import SHORTEST_ROW
from tunesmith.schemas.plans import ConfigureRequest, Remedy
from tunesmith.training.facts import DataFacts
from tunesmith.training.fitting import ROOM_SHARE, Fit, verdict

FitOf = Callable[[ConfigureRequest], Fit]

_LORA = "learns less than all weights would, which few rows do not show (arXiv:2405.09673)"
_INT8 = "slower; the base is rounded to a byte a weight"
_QLORA = "slower; the base is rounded to four bits (QLoRA finds nothing lost, arXiv:2305.14314)"
_SHORTER_SHARES = (0.95, 0.75, 0.5)
_RANK = {"fits": 0, "tight": 1, "does_not_fit": 2}


def find_remedies(
    request: ConfigureRequest, fit: Fit, max_length: int, data: DataFacts, available: int, fit_of: FitOf
) -> list[Remedy]:
    """Changes with which the training fits better than it does, the cheapest first.

    `fit_of` plans a changed request; `available` is in bytes. Empty where it fits as it is, or nothing helps.
    """
    before = verdict(fit.peak_bytes, available)
    if before == "fits":
        return []
    found: list[Remedy] = []
    for arguments, cost in _candidates(request, max_length, data):
        if any(one.fit == "fits" and one.arguments.items() <= arguments.items() for one in found):
            continue  # part of it is enough
        peak = fit_of(request.model_copy(update=_typed(arguments))).peak_bytes
        after = verdict(peak, available)
        if _RANK[after] < _RANK[before]:
            found.append(Remedy(arguments=arguments, cost=cost, peak_bytes=peak, fit=after))
    return found


def largest_base(fit: Fit, parameters: int, available: int) -> int:
    """About how many weights a base model may have that fits where this one does not: memory grows with them."""
    fixed = fit.memory["framework"]
    per_weight = max(1, fit.peak_bytes - fixed) / parameters
    return max(0, int((ROOM_SHARE * available - fixed) / per_weight))


def frugal_request(request: ConfigureRequest) -> ConfigureRequest:
    """The same training in the way that takes least memory: QLoRA."""
    lora = {"num_virtual_tokens": None, "prompt_tuning_init_text": None, "init_lora_weights": "default"}
    return request.model_copy(update={**lora, **_typed({"tuning_method": "qlora"})})


def _candidates(
    request: ConfigureRequest, max_length: int, data: DataFacts
) -> Iterator[tuple[dict[str, str | int], str]]:
    """Each change with what it costs; what loses least comes first."""
    method = request.tuning_method
    if method is TuningMethod.FULL:
        yield {"tuning_method": "lora"}, _LORA
    if (
        method is TuningMethod.LORA
        and request.quantization is None
        and request.init_lora_weights == "default"
    ):
        yield {"quantization": "int8"}, _INT8
    four_bits = method in (TuningMethod.FULL, TuningMethod.LORA) and request.init_lora_weights == "default"
    if (four_bits and request.quantization is None) or request.quantization == "int8":
        yield {"tuning_method": "qlora"}, _QLORA
    shorter = list(_shorter(max_length, data))
    for length, cost in shorter:
        yield {"max_length": length}, cost
    if four_bits:
        for length, cost in shorter:
            yield {"tuning_method": "qlora", "max_length": length}, f"{_QLORA}; {cost}"


def _shorter(max_length: int, data: DataFacts) -> Iterator[tuple[int, str]]:
    lengths = {-(-data.length_at(share) // 16) * 16 for share in _SHORTER_SHARES}
    for length in sorted((one for one in lengths if SHORTEST_ROW <= one < max_length), reverse=True):
        yield length, f"{data.share_longer_than(length):.0%} of the rows lose their end"


def _typed(arguments: dict[str, str | int]) -> dict[str, Any]:
    method = arguments.get("tuning_method")
    if method is None:
        return dict(arguments)
    # What the method does not know goes; qlora brings its own quantization.
    return {**arguments, "tuning_method": TuningMethod(str(method)), "quantization": None}

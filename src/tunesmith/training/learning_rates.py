"""Default learning rates, and how they follow a model's size."""

from __future__ import annotations

from tunesmith.schemas.enums import TuningMethod
from tunesmith.schemas.plans import ConfigureRequest
from tunesmith.training.facts import ModelFacts
from tunesmith.training.notes import AS_ASKED, Notes

DEFAULT_RATES: dict[TuningMethod, float] = {
    TuningMethod.FULL: 2e-5,
    TuningMethod.LORA: 2e-4,
    TuningMethod.QLORA: 2e-4,
    TuningMethod.PROMPT_TUNING: 1e-1,
    TuningMethod.PREFIX_TUNING: 3e-2,
}
"""The last two are measured on the demo model, 375 steps: held-out loss 0.246, 0.205, 0.203 for prompt tuning at 0.01,
0.1, 0.5, and 0.182, 0.145, 0.119 for prefix tuning at 0.01, 0.03, 0.1. Few weights far from the loss want large steps
(the prompt-tuning paper, arXiv:2104.08691, uses 0.3 with Adafactor)."""
USUAL_LORA_RATES = (1e-4, 3e-4)
LARGE_MODEL = 30_000_000_000
"""From here on half the rate: QLoRA takes 2e-4 up to 13 B and 1e-4 for 33 B and 65 B (arXiv:2305.14314, table 9); LIMA
takes 1e-5 for all the weights of 65 B (arXiv:2305.11206, section 3)."""
_RATE_ANCHOR = 2048
_RATE_EXPONENT = 0.781
"""Small models want larger steps. The exponent is the one for Llama shapes in the learning-rate rule of Thinking
Machines' tinker-cookbook (get_lr in hyperparam_utils, in the versions that had a formula: (2000 / hidden_size) **
0.781), published with "LoRA Without Regret"; for other shapes it is an extrapolation, which is why it is said."""


def scaled_learning_rate(method: TuningMethod, hidden_size: int, parameters: int = 0) -> float:
    """The default learning rate for a model of this width and number of weights, to two digits."""
    base = DEFAULT_RATES[method]
    if method.is_prompt_learning:
        return base
    if hidden_size >= _RATE_ANCHOR:
        return base / 2 if parameters >= LARGE_MODEL else base
    return float(f"{base * (_RATE_ANCHOR / hidden_size) ** _RATE_EXPONENT:.2g}")


def choose_rate(request: ConfigureRequest, model: ModelFacts, notes: Notes) -> tuple[float, bool]:
    """The learning rate, and whether a range test shall look for a better one before the run."""
    if isinstance(request.learning_rate, float):
        notes.reasons["learning_rate"] = AS_ASKED
        notes.warnings += usual_rate_warnings(request.tuning_method, request.learning_rate)
        return request.learning_rate, False
    method = request.tuning_method
    rate, base = (
        scaled_learning_rate(method, model.hidden_size, model.parameters),
        DEFAULT_RATES[method],
    )
    probe = request.learning_rate == "auto"
    told = f"the usual rate for {method.value}"
    if rate < base:
        told = f"half {told}: models of 30 B weights and more take smaller steps (arXiv:2305.14314, table 9)"
    elif rate > base:
        told = (
            f"{base:g}, {told}, times (2048 / hidden_size {model.hidden_size}) ** 0.781: narrow models need larger "
            "steps (Thinking Machines' rule for Llama shapes)"
        )
    notes.reasons["learning_rate"] = told
    why = (
        f": our scaling rule for narrow models chose it (hidden_size {model.hidden_size}). Pass learning_rate to "
        "decide yourself"
    )
    notes.warnings += usual_rate_warnings(method, rate, why)
    return rate, probe


def usual_rate_warnings(method: TuningMethod, rate: float, why: str = "") -> list[str]:
    """A warning where a rate is not what LoRA is usually trained with."""
    low, high = USUAL_LORA_RATES
    if method not in (TuningMethod.LORA, TuningMethod.QLORA) or low <= rate <= high:
        return []
    return [f"learning_rate {rate:g} is outside the usual range for LoRA, {low:g} to {high:g}{why}."]

"""Default learning rates, and how they follow a model's width."""

from __future__ import annotations

from tunesmith.schemas.enums import TuningMethod

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
_RATE_ANCHOR = 2048
_RATE_EXPONENT = 0.781
"""Small models want larger steps. The exponent is the one for Llama shapes in the learning-rate rule of Thinking
Machines' tinker-cookbook (get_lr in hyperparam_utils, in the versions that had a formula: (2000 / hidden_size) **
0.781), published with "LoRA Without Regret"; for other shapes it is an extrapolation, which is why it is said."""


def scaled_learning_rate(method: TuningMethod, hidden_size: int) -> float:
    """The default learning rate for a model of this width, to two digits."""
    base = DEFAULT_RATES[method]
    if method.is_prompt_learning or hidden_size >= _RATE_ANCHOR:
        return base
    return float(f"{base * (_RATE_ANCHOR / hidden_size) ** _RATE_EXPONENT:.2g}")

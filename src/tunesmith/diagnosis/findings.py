"""From what is known of a run to findings, gravest first, each with its evidence and the call that would address it.

    not_a_number            fail  a loss that is no number
    diverged                fail  the training loss is back at 1.5 times its lowest and has lost half of its gain
    loss_on_wrong_tokens    fail  the mask leaves nothing of the answers or takes in the prompts; a loss of 0 at once
    adapter_without_effect  fail  20 steps without a gradient, or without any change of the held-out loss
    out_of_memory           fail  the run ended for want of memory
    worse_than_base         fail  the run has ended with a held-out loss 1 % or more above the base's
    overfitting             warn  the held-out loss stands 3 % above its lowest while the training loss fell further
    learning_rate_too_high  warn  the training loss jumped 30 %; both losses rose; or it is high, and little learned
    learning_rate_too_low   warn  a fifth of the usual rate or less, and the loss has fallen by less than 10 %
    prompt_ignored          warn  another row's prompt harms half as much as it did before the training
    rows_unlike_held_out    warn  the base finds the training rows 35 % easier or harder than the held-out ones
    guessing_base           warn  the base's loss is near ln(vocabulary)
    never_stops             warn  fewer than half of the rows end with the token that ends an answer
    duplicated_rows         warn  a fifth of the rows nearly repeat earlier ones
    not_learning            warn  20 steps and a quarter of the run are done, and no loss has fallen by 1 %
    no_gain                 warn  the run has ended with a held-out loss that is not 1 % below the base's
    memory_edge             warn  the training has taken 92 % of the memory it may have
    slow_input              warn  30 % of the time goes by waiting for rows
    stalled                 warn  silent for five minutes and 50 steps; for 15 minutes outside of training
    still_improving         info  the run is complete, and its held-out loss fell by 2 % over the last quarter
    plateau                 info  no loss has moved over the second half of the evaluations
    too_few_rows            info  fewer than 50 training rows
    slow_training           info  the run takes three times as long as was planned, and ten minutes

docs/diagnosis.md says where the thresholds come from. `verdicts` judges what is measured after the run.
"""

from __future__ import annotations

from collections.abc import Callable

from tunesmith.diagnosis import data_rules as data
from tunesmith.diagnosis import fit_rules as fit
from tunesmith.diagnosis import machine_rules as machine
from tunesmith.diagnosis import rate_rules as rate
from tunesmith.diagnosis.history import RunHistory
from tunesmith.schemas.runs import Finding

__all__ = ["RunHistory", "diagnose"]

_Rule = Callable[[RunHistory], Finding | None]
_RULES: tuple[_Rule, ...] = (
    rate.not_a_number,
    rate.diverged,
    data.loss_on_wrong_tokens,
    fit.adapter_without_effect,
    machine.out_of_memory,
    fit.gain,
    fit.overfitting,
    rate.learning_rate_too_high,
    rate.learning_rate_too_low,
    data.prompt_ignored,
    data.rows_unlike_held_out,
    data.guessing_base,
    data.never_stops,
    data.duplicated_rows,
    fit.not_learning,
    machine.memory_edge,
    machine.slow_input,
    machine.stalled,
    fit.still_improving,
    fit.plateau,
    data.too_few_rows,
    machine.slow_training,
)
_EXPLAINS: dict[str, frozenset[str]] = {
    "diverged": frozenset(
        {
            "learning_rate_too_high",
            "worse_than_base",
            "no_gain",
            "overfitting",
            "not_learning",
            "plateau",
            "prompt_ignored",
        }
    ),
    "learning_rate_too_high": frozenset(
        {"not_learning", "no_gain", "still_improving", "plateau", "prompt_ignored"}
    ),
    "loss_on_wrong_tokens": frozenset(
        {
            "rows_unlike_held_out",
            "prompt_ignored",
            "not_learning",
            "plateau",
            "overfitting",
            "still_improving",
        }
    ),
    "adapter_without_effect": frozenset(
        {"not_learning", "no_gain", "learning_rate_too_low", "plateau", "prompt_ignored"}
    ),
    "learning_rate_too_low": frozenset(
        {"not_learning", "no_gain", "still_improving", "plateau", "prompt_ignored"}
    ),
    "prompt_ignored": frozenset({"plateau"}),
}
"""What a finding explains is not told beside it: one cause, one thing to do."""


def diagnose(history: RunHistory) -> list[Finding]:
    """What is worth telling about the run, gravest first."""
    lost = rate.not_a_number(history)
    if lost is not None:
        return [lost]
    found = [finding for rule in _RULES if (finding := rule(history)) is not None]
    explained = frozenset().union(*(_EXPLAINS.get(finding.code, frozenset()) for finding in found))
    return [finding for finding in found if finding.code not in explained]

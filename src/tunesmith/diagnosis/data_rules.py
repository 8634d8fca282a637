"""What the rows say: where the loss falls, whether answers end, whether they belong to their prompts, how many there
are.

Where the thresholds come from: docs/diagnosis.md.
"""

from __future__ import annotations

import math
from statistics import fmean

from tunesmith.diagnosis.effect import fell
from tunesmith.diagnosis.history import RunHistory
from tunesmith.diagnosis.proposals import begin_with, clean, configure, load_again, was_asked
from tunesmith.schemas.enums import DataFormat, Fix
from tunesmith.schemas.plans import Plan
from tunesmith.schemas.runs import Finding

ANSWER_TOKENS = 1.5
WHOLE_SHARE = 0.98
LEARNED_AT_ONCE_NATS = 0.02
NOT_LEARNED_NATS = 0.2
GUESSING_SHARE = 0.95
UNLIKE_SHARE = 0.35
UNLIKE_NATS = 0.3
FIRST_POINTS = 3
ENDED_SHARE = 0.5
PROMPT_ROWS = 16
PROMPT_SHARE = 0.02
PROMPT_NATS = 0.02
PROMPT_MATTERS_NATS = 0.1
PROMPT_LOST = 0.5
LEAST_ROWS = 50
COPIED_SHARE = 0.2


def loss_on_wrong_tokens(history: RunHistory) -> Finding | None:
    """A mask that leaves next to nothing of the answers, or takes the prompts in; or a loss that is low from the start
    on the training rows alone."""
    rows, tokens = history.inputs.get("rows"), history.inputs.get("tokens")
    learned = history.inputs.get("loss_tokens")
    evidence: dict[str, float] = {}
    what = ""
    if rows and tokens and learned is not None:
        evidence = {"loss_tokens_per_row": learned / rows, "loss_share": learned / tokens}
        is_text = history.plan is not None and history.plan.format is DataFormat.COMPLETION
        if learned / rows < ANSWER_TOKENS:
            what = f"{learned / rows:.1f} tokens of a row carry loss: its end, and nothing of its answer"
        elif learned / tokens > WHOLE_SHARE and not is_text:
            what = f"{learned / tokens:.0%} of all tokens carry loss, the prompts' too"
    base = history.base_eval_loss
    first = _first_losses(history)
    if not what and base is not None and first is not None:
        evidence |= {"first_loss": first, "base_eval_loss": base}
        if first < LEARNED_AT_ONCE_NATS and base > NOT_LEARNED_NATS:
            what = (
                f"the training loss was {first:.3f} from the first step on, where the base scores {base:.3f} on "
                f"the held-out "
                "rows"
            )
    if not what:
        return None
    return Finding(
        code="loss_on_wrong_tokens",
        severity="fail",
        message=f"The loss falls on the wrong tokens: {what}.",
        cause="The columns, the format or the chat template put something else than the answers where the loss falls.",
        evidence=evidence,
        recovery=f"{begin_with(history, 'load_dataset')} with the columns or the format that put the answers into the "
        "completion; then look at what stands between ⟦ and ⟧ in the new plan's example.",
        fix=load_again(history, "with columns={...} that name the answers"),
    )


def rows_unlike_held_out(history: RunHistory) -> Finding | None:
    """The base finds the training rows much easier or harder than the held-out ones, before anything is learned."""
    base, first = history.base_eval_loss, _first_losses(history)
    soft = history.plan is not None and history.plan.config.tuning_method.is_prompt_learning
    if base is None or first is None or soft or abs(first - base) < max(UNLIKE_SHARE * base, UNLIKE_NATS):
        return None
    return Finding(
        code="rows_unlike_held_out",
        severity="warn",
        confidence="medium",
        message=f"Before anything is learned the loss is {first:.3f} on the training rows and {base:.3f} on the "
        f"held-out ones: "
        "they are not of the same kind.",
        cause="The training rows were taken from elsewhere than the held-out ones, their answers are not their own, or "
        "the loss falls on other tokens of them.",
        evidence={"first_loss": first, "base_eval_loss": base},
        recovery=f"{begin_with(history, 'build_golden_set')} on the rows you train with, and train on the "
        f"train_dataset_id that "
        "it returns; compare the example of the plan with what the answers should be.",
        fix=load_again(history, "rows of the kind that is held out"),
    )


def guessing_base(history: RunHistory) -> Finding | None:
    """The base is no better than chance over its vocabulary."""
    vocabulary, base = history.inputs.get("vocabulary"), history.base_eval_loss
    if not vocabulary or vocabulary < 2 or base is None or base < GUESSING_SHARE * math.log(vocabulary):
        return None
    chance = math.log(vocabulary)
    return Finding(
        code="guessing_base",
        severity="warn",
        message=f"The base's loss on the held-out rows is {base:.2f}; guessing among its {vocabulary} tokens "
        f"would give "
        f"{chance:.2f}.",
        cause="The base's weights and its tokenizer do not belong together, it was never trained, or it cannot "
        "read this "
        "text.",
        evidence={"base_eval_loss": base, "chance": chance},
        recovery=f"{begin_with(history, 'generate_text')} with the base and a prompt of yours: if it writes no "
        f"language, call "
        "find_models for another base.",
    )


def never_stops(history: RunHistory) -> Finding | None:
    """Most rows do not end with the token that ends an answer, so that the model cannot learn to stop."""
    rows, ended = history.inputs.get("rows"), history.inputs.get("ended_rows")
    if not rows or ended is None or ended / rows >= ENDED_SHARE:
        return None
    plan = history.plan
    fix = None
    if history.inputs.get("cut_rows", rows) < rows - ended:
        cause = "The template, or the tokenizer, gives answers no end of their own."
        recovery = (
            f"{begin_with(history, 'find_models')} for a base whose template ends its answers; look at the end "
            f"of what stands "
            "between ⟦ and ⟧ in the plan's example."
        )
    elif plan is not None and was_asked(plan, "max_length"):
        cause = f"The rows are cut at max_length {plan.config.max_length}, which takes their end."
        recovery = f"{begin_with(history)} without max_length, so that the rows fit, and start again."
        fix = configure(history, "as many tokens as the rows need", max_length=None)
    else:
        cause = "The rows are longer than the model, or the memory there is, can take."
        recovery = (
            f"{begin_with(history, 'clean_dataset')} with fixes=['drop_too_long'], or choose a base that "
        )
        "reads more."
        fix = clean(history, Fix.DROP_TOO_LONG, "rows that fit into the model's context")
    return Finding(
        code="never_stops",
        severity="warn",
        message=f"{ended} of {rows} training rows end with the token that ends an answer: "
        "the model will not learn to stop.",
        cause=cause,
        evidence={"rows": rows, "ended_rows": ended, "cut_rows": history.inputs.get("cut_rows", rows)},
        recovery=recovery,
        fix=fix,
    )


def prompt_ignored(history: RunHistory) -> Finding | None:
    """What the training gained it gained without the prompts: another row's prompt does less harm than it did to the
    base, or none at all."""
    names = ("rows", "own_loss", "swapped_loss", "base_own_loss", "base_swapped_loss")
    told = [history.prompt_use[name] for name in names if history.prompt_use.get(name) is not None]
    if len(told) < len(names):
        return None
    rows, own, swapped, base_own, base_swapped = told
    if rows < PROMPT_ROWS or not fell(base_own, own):
        return None
    gap, base_gap = swapped - own, base_swapped - base_own
    none_left = gap < max(PROMPT_SHARE * own, PROMPT_NATS)
    if not none_left and (base_gap < PROMPT_MATTERS_NATS or gap > PROMPT_LOST * base_gap):
        return None
    return Finding(
        code="prompt_ignored",
        severity="warn",
        confidence="high" if base_gap >= PROMPT_MATTERS_NATS else "medium",
        message="The model learns to answer without regard to the prompt: "
        f"on {rows} held-out answers another row's prompt raises its loss by {gap:.3f} (from {own:.3f}); it raised the "
        f"base's by {base_gap:.3f}.",
        cause="The answers do not belong to their prompts: they were shuffled, joined wrongly, or are all of a kind.",
        evidence={"rows": rows, "own_loss": own, "swapped_loss": swapped, "gap": gap, "base_gap": base_gap},
        recovery=f"{begin_with(history, 'load_dataset')} once each answer stands beside its own prompt again; look at "
        "some rows of the source first.",
        fix=load_again(history, "once each answer stands beside its own prompt"),
    )


def too_few_rows(history: RunHistory) -> Finding | None:
    """Fewer rows than a fine-tuning can usually learn from."""
    rows = history.inputs.get("rows") or (None if history.plan is None else history.plan.train_rows)
    if not rows or rows >= LEAST_ROWS:
        return None
    return Finding(
        code="too_few_rows",
        severity="info",
        confidence="medium",
        message=f"There are {rows} training rows; fewer than {LEAST_ROWS} are rarely enough.",
        cause="Few rows seen often are learned by heart.",
        evidence={"rows": rows},
        recovery="Collect more rows and call load_dataset with them; until then watch the held-out loss, and try "
        "a prompt "
        "with examples (evaluate_model).",
        fix=load_again(history, "with more rows"),
    )


def duplicated_rows(history: RunHistory) -> Finding | None:
    """Rows that nearly repeat others, so that some are learned many times as often."""
    card = history.card
    check = None if card is None else card.quality.get("near_duplicates")
    if card is None or check is None or check.share < COPIED_SHARE or Fix.DROP_NEAR_DUPLICATES in card.fixes:
        return None
    return Finding(
        code="duplicated_rows",
        severity="warn",
        message=f"{check.count} of the {card.rows} rows ({check.share:.0%}) say nearly the same as an earlier one.",
        cause="Copies take the training's steps from the rows that differ, and are learned by heart.",
        evidence={"copies": check.count, "share": check.share},
        recovery=f"{begin_with(history, 'clean_dataset')} with fixes=['drop_near_duplicates'], then "
        f"build_golden_set and "
        "configure_lora with what that returns.",
        fix=clean(history, Fix.DROP_NEAR_DUPLICATES, "each row once"),
    )


def _first_losses(history: RunHistory) -> float | None:
    """The mean training loss while the warm-up has hardly begun: of the first steps, three points at most."""
    plan = history.plan
    warm_up = 1 if plan is None else max(1, _warm_up(plan) // 5)
    first = [loss for step, loss in history.train[:FIRST_POINTS] if step <= warm_up]
    return fmean(first) if first and all(map(math.isfinite, first)) else None


def _warm_up(plan: Plan) -> int:
    return plan.config.warmup_steps

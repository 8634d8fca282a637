"""What a reader of scores has to know to read them rightly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tunesmith.evaluation.generation import Written
from tunesmith.evaluation.golden import GoldenRows
from tunesmith.evaluation.looks import level
from tunesmith.evaluation.measurement import MAX_ANSWER_TOKENS
from tunesmith.evaluation.seen_rows import Seen, kept_apart
from tunesmith.schemas.datasets import GoldenSetCard
from tunesmith.schemas.enums import DataFormat, Half
from tunesmith.schemas.evaluations import EvaluateRequest, PromptSearch
from tunesmith.schemas.plans import Plan
from tunesmith.schemas.runs import TrainOutcome

FEW_ROWS = 30


def lineage_notes(plan: Plan, card: GoldenSetCard, seen: Seen | None) -> list[str]:
    """Whether the run was trained on what this golden set is kept apart from. `seen`: what was looked up where not."""
    if kept_apart(plan, card):
        return []
    told = (
        f"The run was trained on {plan.dataset_id}, and {card.golden_set_id} was held out from other data "
        f"({card.dataset_id}), kept apart from {card.train_dataset_id} alone"
    )
    if plan.dataset_id == card.dataset_id:
        return [
            f"These scores are too good: the run was trained on {plan.dataset_id}, the whole dataset that "
            f"{card.golden_set_id} was taken out of, so it has seen these rows. Train on "
            f"{card.train_dataset_id} instead."
        ]
    if seen is None:
        return [
            f"{told}: it may have been trained on some of these rows, and its own are gone: nothing can check that."
        ]
    if not seen.rows:
        return [f"{told}. None of these {seen.of} rows was found among those that it was trained on."]
    return [f"{told}: {seen.rows} of these {seen.of} rows overlap with rows that it was trained on."]


def run_notes(
    plan: Plan, outcome: TrainOutcome | None, card: GoldenSetCard, seen: Seen | None = None
) -> list[str]:
    """What is particular about a run and this golden set."""
    notes = lineage_notes(plan, card, seen)
    if outcome is not None and outcome.smoke is not None:
        notes.append("This run was a short trial (smoke test): judge the full training, not this one.")
    if card.row_kind != "mixed" and (plan.format is DataFormat.CHAT) != (card.row_kind == "messages"):
        notes.append(
            f"The run was trained on {plan.format.value} rows, and the golden set's rows are "
            f"{'chats' if card.row_kind == 'messages' else 'prompts with completions'}: another form than "
            "it has learned."
        )
    if plan.config.quantization is not None:
        notes.append(
            f"Base and tuned model were scored with {plan.config.quantization} weights, as in training."
        )
    return notes


def answer_notes(written: Iterable[Written]) -> list[str]:
    """How many answers hold nothing to read."""
    answers = list(written)
    empty = [answer for answer in answers if not answer.text.strip()]
    if not empty:
        return []
    at_once = sum(answer.stopped == "eos" and answer.new_tokens <= 1 for answer in empty)
    how = "the model ended at once" if at_once == len(empty) else f"the model ended {at_once} of them at once"
    return [f"{len(empty)} of {len(answers)} answers are empty: {how}. Look at some with generate_text."]


def row_notes(golden: GoldenRows, answers: Sequence[int] | None, limit: int) -> list[str]:
    """What was left out, cut or too little. `answers`: the rows that answers were written for, None if none were
    asked."""
    rows, notes = golden.rows, []
    if golden.dropped:
        counts = ", ".join(f"{count} {reason}" for reason, count in sorted(golden.dropped.items()))
        notes.append(f"{sum(golden.dropped.values())} rows could not be given to the model ({counts}).")
    cut = sum(row.rendered.truncated for row in rows)
    if cut:
        notes.append(f"{cut} rows were cut to {limit} tokens.")
    if len(rows) < FEW_ROWS:
        notes.append(
            f"With {len(rows)} rows the intervals are rough; {FEW_ROWS} or more make them dependable."
        )
    if answers is not None and len(answers) < len(rows):
        notes.append(
            f"Answers were written for {len(answers)} rows: {len(rows) - len(answers)} references have more than "
            f"{MAX_ANSWER_TOKENS} tokens or do not fit into the model's context."
        )
    return notes


def variant_notes(request: EvaluateRequest, search: PromptSearch | None, rows: int) -> list[str]:
    """Which rows judge a prompt, and what came of a search. `rows` are those that judged."""
    notes = []
    if request.half is Half.DEV and (request.variant is not None or search is not None):
        notes.append(
            f"A prompt is judged on {rows} rows of the dev half that no search scores and no reply shows; the others "
            "are for finding prompts."
        )
    if search is not None and request.variant is None:
        notes.append("No variant came out ahead of nothing around the prompt, which was among them.")
    return notes


def half_notes(half: Half, look: int | None) -> list[str]:
    """What looks at the same rows before this one mean. `look`: which candidate it is, None for a plain base model."""
    if look is None or look == 1:
        return []
    if half is Half.DEV:
        return [
            f"This is candidate {look} on the dev half: it is called better only at the level {level(look):.2g}, "
            "because among many candidates some look better by chance."
        ]
    return [
        f"This is candidate {look} on the test half: each one makes it less of a test. Build a new golden set "
        "before many more."
    ]

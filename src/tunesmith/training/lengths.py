"""How long rows may be, how many of them can be used, and whether they share sequences."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Sequence

from tunesmith.schemas.plans import ConfigureRequest
from tunesmith.training.facts import DataFacts, ModelFacts
from tunesmith.training.notes import AS_ASKED, Notes

_WORTH_PACKING = 0.1
"""Share of padding from which packing is worth its masks."""
_DRAWN_BATCHES = 200


def choose_max_length(
    request: ConfigureRequest, model: ModelFacts, data: DataFacts, virtual: int, notes: Notes
) -> int:
    """The longest row, or where a few outliers would set the memory that every step needs, what 99 % have."""
    room = model.context - virtual
    longest, usual = data.lengths[-1], data.length_at(0.99)
    if request.max_length is not None:
        chosen, why = request.max_length, AS_ASKED
    else:
        wanted = longest if longest <= max(2 * usual, 256) else usual
        chosen = min(room, -(-wanted // 16) * 16)
        why = f"the longest row has {longest} tokens, 99 % have at most {usual}"
        if chosen == room:
            why += f"; the model reads at most {model.context}"
    cut = data.share_longer_than(chosen)
    notes.reasons["max_length"] = f"{why}; {cut:.1%} of the rows are cut"
    if cut > 0.05:
        notes.warnings.append(
            f"{cut:.0%} of the rows are longer than max_length {chosen} and lose their end: the model does not learn "
            "to stop from them."
        )
    return chosen


def usable_rows(data: DataFacts, max_length: int, notes: Notes) -> int:
    """How many rows can be trained on."""
    total = len(data.lengths) + data.dropped
    too_long = data.share_without_answer(max_length)
    usable = round(data.rows * (1 - too_long) * len(data.lengths) / total)
    if usable < data.rows:
        notes.warnings.append(
            f"About {data.rows - usable} of {data.rows} rows cannot be trained on: their prompt alone fills "
            "max_length, or the chat template does not take them."
        )
    return max(1, usable)


def choose_packing(
    request: ConfigureRequest,
    model: ModelFacts,
    data: DataFacts,
    max_length: int,
    batch_size: int,
    notes: Notes,
) -> bool:
    """Whether rows share sequences: where that saves padding, and the architecture keeps them apart."""
    why_not = model.attention.why_not_packed()
    if request.tuning_method.is_prompt_learning:
        why_not = "a soft prompt stands before each row, which a shared sequence has no room for"
    if why_not is not None:
        notes.reasons["packing"] = f"off: {why_not}"
        return False
    padding = padding_share([min(length, max_length) for length in data.lengths], batch_size)
    worth = padding >= _WORTH_PACKING
    notes.reasons["packing"] = (
        f"{'on' if worth else 'off'}: padded to the longest of {batch_size} rows, {padding:.0%} of what is computed "
        "would be padding"
    )
    return worth


def padding_share(lengths: Sequence[int], batch_size: int) -> float:
    """The expected share of padding in batches of rows drawn at random, each padded to its longest row."""
    draw = random.Random(0)
    real = padded = 0
    for _ in range(_DRAWN_BATCHES):
        batch = [lengths[draw.randrange(len(lengths))] for _ in range(batch_size)]
        real += sum(batch)
        padded += batch_size * max(batch)
    return 1 - real / padded


def step_tokens(lengths: Sequence[int], batch_size: int) -> int:
    """The tokens that the rows of a step have together at most: their mean and three standard deviations, which one
    step in a thousand exceeds."""
    spread = statistics.pstdev(lengths) * math.sqrt(batch_size)
    likely = math.ceil(batch_size * statistics.fmean(lengths) + 3 * spread)
    return min(batch_size * max(lengths), likely)

"""All candidates that were scored on a half of a golden set, on the same rows: what wins, by how much, at what cost."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tunesmith.evaluation import row_scores
from tunesmith.evaluation.looks import ALPHA, read_looks
from tunesmith.evaluation.metrics import LOWER_IS_BETTER, RowScore, aggregate, differences
from tunesmith.jobs.files import read_document
from tunesmith.jobs.paths import Store
from tunesmith.schemas.evaluations import (
    CandidateKind,
    Cost,
    Difference,
    Evaluation,
    Leaderboard,
    LeaderboardEntry,
    PromptVariant,
)

MOST_ENTRIES = 20
LEAST_SHARE = 0.8
"""A candidate that was given fewer of the deciding rows is left out: it would take these rows from all others."""
RANKED_BY = ("accuracy", "json_fields", "exact_match", "token_f1", "rouge_l", "chrf")
"""The first that all candidates have ranks them, else bits per byte."""
KINDS: dict[CandidateKind, str] = {
    "base": "base",
    "hard_prompt": "hard prompt",
    "soft_prompt": "soft prompt",
    "tuned": "tuned",
}


@dataclass(frozen=True)
class Contender:
    """A candidate, or a base model that some were compared with, with its scores by row number."""

    evaluation_id: str
    model: str
    base_model: str
    kind: CandidateKind
    variant: PromptVariant | None
    cost: Cost
    rows: dict[int, RowScore]

    @property
    def in_words(self) -> str:
        """Such as `run-… (soft prompt)`."""
        behind = " behind a prompt" if self.variant is not None and self.kind != "hard_prompt" else ""
        return f"{self.model} ({KINDS[self.kind]}{behind}, {self.evaluation_id})"


def leaderboard(
    store: Store,
    newest: Evaluation,
    tuned: Sequence[RowScore],
    base: Sequence[RowScore] | None,
    deciding: Collection[int],
) -> Leaderboard | None:
    """Every candidate on record for the half beside the `newest`, whose scores are `tuned` and `base`; None where there
    is nothing beside it.

    Only `deciding` rows count, and of these only the ones that all were given.
    """
    found = [*_contenders(newest, tuned, base)]
    looks = read_looks(store.handle(newest.golden_set_id).looks(newest.half))
    for handle in {look.candidate: look.evaluation_id for look in looks}.values():
        paths = store.handle(handle)
        stored = read_document(paths.result, Evaluation)
        if stored is not None:
            found += _contenders(
                stored, row_scores.read(paths.row_scores), row_scores.read_base(paths.row_scores)
            )
    return ranked([*{_identity(one): one for one in reversed(found)}.values()], deciding)


def ranked(contenders: Sequence[Contender], deciding: Collection[int]) -> Leaderboard | None:
    """The contenders on the rows that all of them share; None for fewer than two."""
    enough = [one for one in contenders if _share(one, deciding) >= LEAST_SHARE]
    shared = sorted(set(deciding).intersection(*(one.rows for one in enough)))
    if len(enough) < 2 or not shared:
        return None
    scored = {_identity(one): [one.rows[number] for number in shared] for one in enough}
    metric = next(
        (name for name in RANKED_BY if all(name in row.answer for rows in scored.values() for row in rows)),
        "bits_per_byte",
    )
    sign = 1.0 if metric in LOWER_IS_BETTER else -1.0
    scores = {who: aggregate(rows, [metric, "bits_per_byte"]) for who, rows in scored.items()}
    if any(metric not in score for score in scores.values()):
        return None

    def place(one: Contender) -> tuple[float, float, float]:
        score = scores[_identity(one)]
        bits = score["bits_per_byte"].value if "bits_per_byte" in score else math.inf
        return sign * score[metric].value, bits, one.cost.prompt_tokens

    order = sorted(enough, key=place)
    bases = {one.base_model: scored[_identity(one)] for one in order if one.kind == "base"}
    entries = [
        LeaderboardEntry(
            evaluation_id=one.evaluation_id,
            model=one.model,
            kind=one.kind,
            variant=one.variant,
            score=scores[_identity(one)][metric],
            difference=_from_base(one, bases.get(one.base_model), scored[_identity(one)], metric),
            cost=one.cost,
        )
        for one in order
    ]
    return Leaderboard(
        metric=metric,
        rows=len(shared),
        entries=[entry for at, entry in enumerate(entries) if at < MOST_ENTRIES or entry.kind == "base"],
        message=_told(order, scored, metric, len(contenders) - len(enough)),
    )


def _contenders(
    found: Evaluation, tuned: Sequence[RowScore] | None, base: Sequence[RowScore] | None
) -> list[Contender]:
    """The candidate, and its base where that was scored bare. Who was trained on such rows is no candidate."""
    is_untrusted = found.comparison is not None and found.comparison.verdict == "untrusted"
    if found.cost is None or found.base_model is None or not tuned or is_untrusted:
        return []
    name = found.base_model
    own = Contender(
        found.evaluation_id, found.model, name, found.kind, found.variant, found.cost, _by_row(tuned)
    )
    is_bare = found.kind == "hard_prompt" or found.variant is None
    if found.baseline_cost is None or not base or not is_bare:
        return [own]
    return [
        own,
        Contender(found.evaluation_id, name, name, "base", None, found.baseline_cost, _by_row(base)),
    ]


def _told(
    order: Sequence[Contender], scored: dict[tuple[str, str], list[RowScore]], metric: str, left_out: int
) -> str:
    """Whether the first is ahead of the second by more than chance, and what is cheaper and not measurably worse.

    Any two of them may have come out as the first and another one, so probabilities are corrected for all pairs.
    """
    first, second = order[0], order[1]
    pairs = len(order) * (len(order) - 1) // 2
    lead = _difference(scored[_identity(second)], scored[_identity(first)], metric)
    chance = min(1.0, lead.p * pairs)
    ahead = "more than chance" if chance <= ALPHA else "no more than chance"
    told = [
        f"{first.in_words} leads by {metric} on {len(scored[_identity(first)])} rows; from the next, "
        f"{second.in_words}, {lead.value:+.3f}, 95 % interval {lead.low:+.3f} to {lead.high:+.3f}, probability of "
        f"chance corrected for {pairs} pairs {chance:.2g}: {ahead}."
    ]
    level = [
        one
        for one in order[1:]
        if _difference(scored[_identity(one)], scored[_identity(first)], metric).p * pairs > ALPHA
    ]
    cheaper = [one for one in level if _price(one) < _price(first)]
    if cheaper:
        least = min(cheaper, key=_price)
        told.append(
            f"Not measurably behind it and cheaper: {least.in_words}, {least.cost.prompt_tokens:.0f} instead of "
            f"{first.cost.prompt_tokens:.0f} tokens a prompt, made with {least.cost.making_tokens:,} instead of "
            f"{first.cost.making_tokens:,} tokens."
        )
    if len({one.base_model for one in order}) > 1:
        told.append(
            "Their base models may cut texts into other tokens: compare bits per byte, not loss or perplexity."
        )
    if left_out:
        told.append(f"{left_out} candidates are left out, which were given too few of these rows.")
    return " ".join(told)


def _price(one: Contender) -> tuple[float, int]:
    """Each prompt is paid again and again, the making once."""
    return round(one.cost.prompt_tokens), one.cost.making_tokens


def _from_base(
    one: Contender, base: Sequence[RowScore] | None, rows: Sequence[RowScore], metric: str
) -> Difference | None:
    return None if base is None or one.kind == "base" else _difference(base, rows, metric)


def _difference(before: Sequence[RowScore], after: Sequence[RowScore], metric: str) -> Difference:
    return differences(before, after, [metric])[metric]


def _identity(one: Contender) -> tuple[str, str]:
    """An evaluation stands for one candidate; of a base model one entry is enough."""
    return ("base", one.model) if one.kind == "base" else ("candidate", one.evaluation_id)


def _share(one: Contender, deciding: Collection[int]) -> float:
    return len(one.rows.keys() & set(deciding)) / max(1, len(deciding))


def _by_row(rows: Sequence[RowScore]) -> dict[int, RowScore]:
    return {row.row: row for row in rows}

"""Two evaluations of the same held-out rows, compared row by row from the scores that were stored."""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.evaluation import row_scores
from tunesmith.evaluation.looks import ALPHA, corrected, read_looks
from tunesmith.evaluation.metrics import RowScore, differences
from tunesmith.jobs.files import read_document
from tunesmith.jobs.paths import Store
from tunesmith.schemas.enums import Half
from tunesmith.schemas.errors import InvalidArgument, NotReady
from tunesmith.schemas.evaluations import Evaluation, PairedDifferences

PER_TOKEN = ("loss", "perplexity", "token_accuracy")
"""What means something else for another vocabulary."""


def compare_evaluations(store: Store, first_id: str, second_id: str) -> PairedDifferences:
    """Each metric that both have: the second evaluation minus the first, over the rows that both scored.

    Where the two models cut these rows into tokens differently, losses per token cannot be compared, and bits per
    byte stand in for them.

    Raises:
        NotReady: one of them is not finished, or was stored without row scores.
        InvalidArgument: they are of different golden sets or halves.
    """
    (first, before), (second, after) = _stored(store, first_id), _stored(store, second_id)
    if (first.golden_set_id, first.half) != (second.golden_set_id, second.half):
        raise InvalidArgument(
            f"{first_id} was scored on the {first.half.value} half of {first.golden_set_id}, {second_id} on the "
            f"{second.half.value} half of {second.golden_set_id}: they have no rows in common.",
            "Call evaluate_model for both on the same golden_set_id and half.",
        )
    shared = [name for name in first.scores if name in second.scores]
    return paired_differences(first_id, before, second_id, after, shared)


def paired_differences(
    first_id: str,
    first: Sequence[RowScore],
    second_id: str,
    second: Sequence[RowScore],
    metrics: Sequence[str],
) -> PairedDifferences:
    """The second's scores minus the first's over the rows that both have, in whatever order they come."""
    known = {row.row: row for row in first}
    pairs = [(known[row.row], row) for row in second if row.row in known]
    before, after = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    same_tokens = all(old.tokens == new.tokens for old, new in pairs)
    told = list(metrics)
    if not same_tokens:
        told = [*dict.fromkeys(["bits_per_byte", *(name for name in told if name not in PER_TOKEN)])]
    if any(old.label != new.label for old, new in pairs):
        told = [name for name in told if name != "macro_f1"]
    return PairedDifferences(
        first=first_id,
        second=second_id,
        rows=len(pairs),
        same_vocabulary=same_tokens,
        differences=differences(before, after, told) if pairs else {},
    )


def best_so_far(
    store: Store, golden_set_id: str, half: Half, candidate: str
) -> tuple[Evaluation, int] | None:
    """The evaluation of the other candidate with the fewest bits per byte on a half, and among how many it is that.

    None where no other candidate has stored scores.
    """
    newest = {
        look.candidate: look.evaluation_id for look in read_looks(store.handle(golden_set_id).looks(half))
    }
    others = [handle for other, handle in newest.items() if other != candidate]
    scored: list[tuple[float, Evaluation]] = []
    for handle in others:
        paths = store.handle(handle)
        found, rows = read_document(paths.result, Evaluation), row_scores.read(paths.row_scores)
        if found is not None and rows:
            scored.append((sum(row.loss for row in rows) / max(1, sum(row.size for row in rows)), found))
    if not scored:
        return None
    return min(scored, key=lambda one: one[0])[1], len(scored)


def standing(
    store: Store, best: Evaluation, candidates: int, mine: Sequence[RowScore], look: int
) -> str | None:
    """How a candidate stands beside the best one before it, in a sentence; None where they share no row.

    The best of several is one that was lucky, too: its probability is corrected for having been chosen among them.
    """
    rows = row_scores.read(store.handle(best.evaluation_id).row_scores) or []
    found = paired_differences(best.evaluation_id, rows, "", mine, ["bits_per_byte"])
    difference = found.differences.get("bits_per_byte")
    if difference is None:
        return None
    p = min(1.0, candidates * corrected(difference.p, look))
    noise = p > ALPHA or difference.low <= 0 <= difference.high
    verdict = "no more than chance" if noise else "better" if difference.value < 0 else "worse"
    among = "the candidate before it" if candidates == 1 else f"the best of {candidates} candidates before it"
    return (
        f"Beside {among} on these rows ({best.model}, {best.evaluation_id}): {difference.value:+.3f} bits per byte, "
        f"95 % interval {difference.low:+.3f} to {difference.high:+.3f}, corrected probability of chance "
        f"{p:.2g}: {verdict}."
    )


def _stored(store: Store, handle: str) -> tuple[Evaluation, list[RowScore]]:
    paths = store.handle(handle)
    found, rows = read_document(paths.result, Evaluation), row_scores.read(paths.row_scores)
    if found is None or rows is None:
        raise NotReady(
            f"{handle} has no scores by row: it is not finished, or was stored by an older release.",
            f'Call get_status with run_id="{handle}", or evaluate_model again.',
        )
    return found, rows

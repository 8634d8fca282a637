"""A candidate beside those that were scored on the same held-out rows before it, row by row.

In bits per byte: their models may cut the rows into tokens differently.
"""

from __future__ import annotations

from collections.abc import Sequence

from tunesmith.evaluation import row_scores
from tunesmith.evaluation.looks import ALPHA, corrected, read_looks
from tunesmith.evaluation.metrics import RowScore, differences
from tunesmith.jobs.files import read_document
from tunesmith.jobs.paths import Store
from tunesmith.schemas.enums import Half
from tunesmith.schemas.evaluations import Evaluation


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
        if found is not None and rows and not _was_trained_on_them(found):
            scored.append((sum(row.loss for row in rows) / max(1, sum(row.size for row in rows)), found))
    if not scored:
        return None
    return min(scored, key=lambda one: one[0])[1], len(scored)


def _was_trained_on_them(found: Evaluation) -> bool:
    return found.comparison is not None and found.comparison.verdict == "untrusted"


def standing(
    store: Store, best: Evaluation, candidates: int, mine: Sequence[RowScore], look: int
) -> str | None:
    """How a candidate stands beside the best one before it, in a sentence; None where they share no row.

    The best of several is one that was lucky, too: its probability is corrected for having been chosen among them.
    """
    known = {row.row: row for row in row_scores.read(store.handle(best.evaluation_id).row_scores) or []}
    pairs = [(known[row.row], row) for row in mine if row.row in known]
    if not pairs:
        return None
    difference = differences([old for old, _ in pairs], [new for _, new in pairs], ["bits_per_byte"])[
        "bits_per_byte"
    ]
    p = min(1.0, candidates * corrected(difference.p, look))
    noise = p > ALPHA or difference.low <= 0 <= difference.high
    verdict = "no more than chance" if noise else "better" if difference.value < 0 else "worse"
    among = "the candidate before it" if candidates == 1 else f"the best of {candidates} candidates before it"
    return (
        f"Beside {among} on these rows ({best.model}, {best.evaluation_id}): {difference.value:+.3f} bits per byte, "
        f"95 % interval {difference.low:+.3f} to {difference.high:+.3f}, corrected probability of chance "
        f"{p:.2g}: {verdict}."
    )

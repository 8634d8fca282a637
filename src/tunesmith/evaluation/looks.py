"""Repeated looks at the same held-out rows.

Who tries 200 variants on the same rows finds one in twenty of them "better" at 5 % by chance alone. So each half
of a golden set keeps a record of the candidates that were scored on it, and the k-th candidate is called better
only at a stricter level:

    alpha_k = alpha / (k (k + 1))        corrected p = min(1, p k (k + 1))

The levels of all candidates that may ever come add up to alpha (the sum of 1 / (k (k + 1)) telescopes to 1), so
with any number of candidates that are no better, the chance that even one is called better stays at or below
alpha: the union bound, spent over an open-ended sequence as in alpha spending (K. K. G. Lan and D. L. DeMets,
"Discrete sequential boundaries for clinical trials", Biometrika 70, 1983) and in online testing (D. P. Foster and
R. A. Stine, "Alpha-investing", JRSS B 70, 2008).

It does not matter whether the candidates are alike, how the next one is chosen from verdicts so far, or when
somebody stops. As long as every verdict was "no better", verdicts alone give nothing away: the next candidate is
then the same whatever the rows (A. Blum and M. Hardt, "The ladder", ICML 2015). Two things are not covered, and
no correction of p-values can cover them: candidates made from the rows themselves (their text, their examples,
scores of single rows), and candidates chosen after a verdict "better" was given away. Both are training on these
rows. The other half is for them.

The record is append-only, one JSON object a line; a candidate that is scored again is no new look.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tunesmith.jobs import clock
from tunesmith.jobs.files import append_lines
from tunesmith.schemas.evaluations import ModelReference, PromptVariant

ALPHA = 0.05


@dataclass(frozen=True)
class Look:
    """One candidate, scored once: what it was (`candidate`), in which evaluation, and when (UTC)."""

    candidate: str
    evaluation_id: str
    model: str
    at: str


def candidate_of(model: ModelReference, variant: PromptVariant | None) -> str:
    """What tells candidates apart: the model and everything that is put around the rows, as a hash."""
    around: list[str | int] = []
    if variant is not None and not variant.is_plain:
        around += [variant.system, variant.template]
        around += [variant.few_shot, variant.seed] if variant.few_shot else []
    content = json.dumps([model.kind, model.path or model.name, around], ensure_ascii=True)
    return hashlib.sha256(content.encode()).hexdigest()[:32]


def record_look(path: Path, candidate: str, evaluation_id: str, model: str) -> int:
    """Put a look on record, durably; returns which candidate of this half it is, from 1.

    Raises:
        DiskFull, StorageFailed: the look is not on record, so nothing may be told.
    """
    look = Look(candidate, evaluation_id, model, clock.timestamp())
    append_lines(path, [json.dumps(asdict(look))])
    return look_number(read_looks(path), candidate)


def read_looks(path: Path) -> list[Look]:
    """The looks on record, oldest first; lines that were left torn are passed over."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    looks = []
    for line in lines:
        try:
            looks.append(Look(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return looks


def look_number(looks: Sequence[Look], candidate: str) -> int:
    """Which candidate this one is, from 1, in the order in which they were first scored."""
    order = list(dict.fromkeys(look.candidate for look in looks))
    return order.index(candidate) + 1 if candidate in order else len(order) + 1


def level(look: int, alpha: float = ALPHA) -> float:
    """The level at which the `look`-th candidate is judged, so that all together stay within `alpha`."""
    return alpha / (look * (look + 1))


def corrected(p: float, look: int) -> float:
    """The p-value to compare with `ALPHA` for the `look`-th candidate."""
    return min(1.0, p * look * (look + 1))

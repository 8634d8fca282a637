"""The whole quality report of stored rows: what every check finds, and what it amounts to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.quality.catalogue import CHECK_OF_KIND
from tunesmith.data.quality.diversity import measure
from tunesmith.data.quality.examination import Findings, examine, language_note
from tunesmith.data.quality.flags import Flags
from tunesmith.data.quality.harmful_sample import flag_harmful
from tunesmith.data.quality.near_duplicates import Copies, find_copies
from tunesmith.data.quality.report import Measurements, checklist, judge
from tunesmith.data.quality.token_lengths import TokenLengths, length_figures
from tunesmith.data.rows import iter_tables
from tunesmith.schemas.datasets import QualityCheck
from tunesmith.schemas.enums import Verdict

_EXAMINED = 0.7
"""The share of the time that the pass over single rows takes; comparing rows takes the rest."""
_LAYOUT, _VARIANT, _RARE = "formatting", "label_variant", "rare_label"


@dataclass(frozen=True)
class Assessment:
    """The report, its six lines, and every row that has a defect."""

    quality: dict[str, QualityCheck]
    checklist: dict[str, Verdict]
    found: Flags


def assess(
    rows: Path,
    rows_read: int,
    dropped: Flags,
    workers: int,
    scratch: Path,
    progress: Callable[[float], None],
    harm_classifier: str | None = None,
    lengths: TokenLengths | None = None,
) -> Assessment:
    """Check stored rows. `dropped` are those that were read and left out: they count in the report, too.

    `scratch` is an existing folder for what does not fit into memory; `progress` hears the share that is done.
    `harm_classifier` is a text-classification model, a Hub id or a folder, that looks at a sample besides the lexicon.
    `lengths` counts in the tokens of the model that is to be tuned, where that is known.

    Raises:
        UnreadableSource: the rows are missing or damaged.
        DiskFull, StorageFailed: the scratch folder has no room.
        ModelNotFound, Mismatch: the classifier cannot be used.
    """
    findings = examine(rows, workers, lambda done: progress(_EXAMINED * done), lengths)
    copies = find_copies(rows, scratch, workers, lambda done: progress(_EXAMINED + (1 - _EXAMINED) * done))
    numbers = _row_numbers(rows)
    notes = {"language_mix": note} if (note := language_note(len(numbers))) else {}
    found = findings.flags
    notes |= _withdraw_habits(findings)
    _flag_copies(copies, numbers, found)
    findings.preferences.flag(found)
    for row in findings.habits.too_long():
        found.add("too_long", row)
    for trait_rows in findings.layout.breaks().values():
        for row in trait_rows:
            found.add(_LAYOUT, row)
    if harm_classifier is not None:
        notes["harmful_content"] = flag_harmful(
            rows, len(numbers), harm_classifier, found, lambda _: progress(1.0)
        )
    balance = None
    if findings.labels.are_labels():
        balance = findings.labels.balance()
        _flag_labels(findings, found)
    figures = {}
    if lengths is not None and findings.tokens:
        figures["too_long"] = length_figures(findings.tokens, lengths.context)
        notes["too_long"] = (
            f"tokens counted on {len(findings.tokens):,} rows, and on all that may pass the context"
        )
    diversity = measure(findings.prompts.texts())
    report = judge(Measurements(rows_read, dropped, found, balance, diversity, notes, figures))
    return Assessment(report, checklist(report), found)


def _row_numbers(rows: Path) -> Any:
    """int64[rows]: the source row number of each stored row."""
    batches = [batch.column("row").to_numpy() for batch in iter_tables(rows, ["row"])]
    return np.concatenate([np.empty(0, np.int64), *batches])


def _withdraw_habits(findings: Findings) -> Mapping[str, str]:
    """Kinds that are the nature of this dataset are no defects of its rows."""
    suppressed = findings.habits.suppressed()
    for kind in suppressed:
        findings.flags.withdraw(kind)
    return {CHECK_OF_KIND[kind]: f"{kind} is not counted: {reason}" for kind, reason in suppressed.items()}


def _flag_copies(copies: Copies, numbers: Any, found: Flags) -> None:
    for kind, of in (("near_duplicate", copies.originals), ("conflicting_duplicate", copies.contradicted)):
        later = np.flatnonzero(of >= 0)
        found.add_all(kind, numbers[later].tolist(), numbers[of[later]].tolist())


def _flag_labels(findings: Findings, found: Flags) -> None:
    for label in findings.labels.variants():
        for row in findings.labels.rows_of(label):
            found.add(_VARIANT, row)
    for label in findings.labels.rare():
        for row in findings.labels.rows_of(label):
            found.add(_RARE, row)

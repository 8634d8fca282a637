"""The quality report of a dataset: every check with its verdict, and the six lines of the skill's checklist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from tunesmith.data.quality.catalogue import CHECKLIST, CHECKS, Check, applicable, proposed
from tunesmith.data.quality.diversity import Diversity
from tunesmith.data.quality.flags import Flags
from tunesmith.data.quality.labels import DOMINANT_SHARE, IMBALANCE_RATIO, Balance
from tunesmith.schemas.datasets import QualityCheck
from tunesmith.schemas.enums import Verdict

LISTED_ROWS = 10
_WARN_DISTINCT_3, _FAIL_DISTINCT_3 = 0.2, 0.03
_WARN_TOPICS, _FAIL_TOPICS = 20.0, 5.0
_TOO_FEW = "too few rows to tell"
_SEVERITY = {Verdict.PASS: 0, Verdict.WARN: 1, Verdict.FAIL: 2}


@dataclass
class Measurements:
    """What the checks found, before it is judged. `notes` says, by check, what could not be looked at; `figures` are
    further measures of checks that look at rows."""

    rows_read: int
    dropped: Flags
    found: Flags
    balance: Balance | None = None
    diversity: Diversity | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, dict[str, float]] = field(default_factory=dict)


def judge(measured: Measurements) -> dict[str, QualityCheck]:
    """Every check of the catalogue with its verdict."""
    report = {name: _row_check(name, check, measured) for name, check in CHECKS.items() if check.kinds}
    report["class_balance"] = _class_balance(measured.balance)
    report["lexical_diversity"] = _lexical(measured.diversity)
    report["topical_diversity"] = _topical(measured.diversity)
    return {name: report[name] for name in CHECKS}


def checklist(report: Mapping[str, QualityCheck]) -> dict[str, Verdict]:
    """Each of the six lines has the worst verdict of its checks."""
    return {
        line: max(
            (report[name].verdict for name, check in CHECKS.items() if check.line == line),
            key=_SEVERITY.__getitem__,
        )
        for line in CHECKLIST
    }


def summary(flags: Flags) -> str:
    """Kinds and counts for a message, most frequent first."""
    counts = {kind: flags.count(kind) for kind in flags.kinds()}
    return ", ".join(f"{kind}: {count}" for kind, count in sorted(counts.items(), key=lambda item: -item[1]))


def _row_check(name: str, check: Check, measured: Measurements) -> QualityCheck:
    kinds = {
        kind: count
        for kind in check.kinds
        if (count := measured.dropped.count(kind) + measured.found.count(kind))
    }
    note, figures = measured.notes.get(name), measured.figures.get(name, {})
    if not kinds:
        return QualityCheck(verdict=Verdict.PASS, figures=figures, note=note)
    rows = np.union1d(measured.dropped.rows_with_any(kinds), measured.found.rows_with_any(kinds))
    share = len(rows) / max(1, measured.rows_read)
    return QualityCheck(
        verdict=_verdict(share, check),
        count=len(rows),
        share=round(share, 6),
        rows=rows[:LISTED_ROWS].tolist(),
        kinds=kinds,
        figures=figures,
        note=note,
        advice=check.advice,
        fixes=applicable(check, kinds),
        proposed=proposed(check, kinds),
    )


def _verdict(share: float, check: Check) -> Verdict:
    if share >= check.fail_share:
        return Verdict.FAIL
    return Verdict.WARN if share >= check.warn_share else Verdict.PASS


def _class_balance(balance: Balance | None) -> QualityCheck:
    if balance is None:
        return QualityCheck(verdict=Verdict.PASS, note="the answers are no class labels")
    verdict = Verdict.PASS
    if balance.largest_share >= DOMINANT_SHARE:
        verdict = Verdict.FAIL
    elif balance.imbalance_ratio > IMBALANCE_RATIO:
        verdict = Verdict.WARN
    figures = {
        "classes": len(balance.rows_of_class),
        "imbalance_ratio": round(balance.imbalance_ratio, 2),
        "evenness": round(balance.evenness, 3),
        "largest_share": round(balance.largest_share, 3),
    }
    return _measured("class_balance", verdict, figures)


def _lexical(diversity: Diversity | None) -> QualityCheck:
    if diversity is None:
        return QualityCheck(verdict=Verdict.PASS, note=_TOO_FEW)
    figures = {
        "distinct_3": round(diversity.distinct_3, 3),
        "distinct_openings": round(diversity.distinct_openings, 3),
    }
    verdict = _low(diversity.distinct_3, _WARN_DISTINCT_3, _FAIL_DISTINCT_3)
    return _measured("lexical_diversity", verdict, figures, diversity.sample_rows)


def _topical(diversity: Diversity | None) -> QualityCheck:
    if diversity is None:
        return QualityCheck(verdict=Verdict.PASS, note=_TOO_FEW)
    # A small sample cannot hold many topics: it is asked for a share of its rows instead.
    rows = diversity.compared_rows
    warn, fail = min(_WARN_TOPICS, 0.2 * rows), min(_FAIL_TOPICS, 0.05 * rows)
    figures = {"vendi_score": round(diversity.vendi_score, 1)}
    verdict = _low(diversity.vendi_score, warn, fail)
    return _measured("topical_diversity", verdict, figures, rows)


def _low(value: float, warn_below: float, fail_below: float) -> Verdict:
    if value < fail_below:
        return Verdict.FAIL
    return Verdict.WARN if value < warn_below else Verdict.PASS


def _measured(
    name: str, verdict: Verdict, figures: dict[str, float], sample_rows: int | None = None
) -> QualityCheck:
    return QualityCheck(
        verdict=verdict,
        figures=figures,
        note=None if sample_rows is None else f"on a sample of {sample_rows:,} rows",
        advice=None if verdict is Verdict.PASS else CHECKS[name].advice,
    )

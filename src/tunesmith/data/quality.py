"""The basic quality report: what was dropped and why, check by check."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tunesmith.schemas.datasets import QualityCheck
from tunesmith.schemas.enums import Verdict

CHECK_OF_REASON: dict[str, str] = {
    "invalid_json": "readable",  # a line that is not JSON
    "not_an_object": "readable",  # JSON, but not {column: value}
    "stray_quote": "readable",  # a CSV row that a quote breaks
    "repeated_header": "readable",  # the CSV's header line once more
    "wrong_column_count": "readable",  # a CSV row with more or fewer cells than the header
    "missing_field": "missing_fields",  # null, NaN, or no such column in this row
    "empty": "empty",  # nothing but white space
    "not_text": "shape",  # a list, an object or bytes where text belongs
    "wrong_shape": "shape",  # not a list of {role, content}
    "unsupported_role": "shape",  # a role other than system, user, assistant
    "no_reply": "shape",  # no assistant message after a user message
    "invalid_text": "valid_text",  # NUL characters or half a surrogate pair
    "duplicate": "exact_duplicates",  # the same content as an earlier row
}
LISTED_ROWS = 10
FAIL_SHARE = 0.5
"""A check that drops this share of the rows read fails: what is left may not be what was meant."""


@dataclass
class Tally:
    """Counts dropped rows by reason while a source is read."""

    rows_read: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    rows_of_check: dict[str, list[int]] = field(default_factory=dict)

    def drop(self, reason: str, number: int) -> None:
        """Count a row, by its source row number."""
        self.dropped[reason] += 1
        listed = self.rows_of_check.setdefault(CHECK_OF_REASON[reason], [])
        if len(listed) < LISTED_ROWS:
            listed.append(number)

    def checks(self) -> dict[str, QualityCheck]:
        """Every check with its verdict."""
        return {
            check: self._check(check, sum(self.dropped[reason] for reason in reasons))
            for check, reasons in _reasons_of_check().items()
        }

    def summary(self) -> str:
        """The reasons and counts for a message, most frequent first."""
        return ", ".join(f"{reason}: {count}" for reason, count in self.dropped.most_common())

    def _check(self, check: str, count: int) -> QualityCheck:
        verdict = Verdict.PASS if count == 0 else Verdict.WARN
        if count and count >= FAIL_SHARE * self.rows_read:
            verdict = Verdict.FAIL
        return QualityCheck(verdict=verdict, count=count, rows=self.rows_of_check.get(check, []))


def _reasons_of_check() -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for reason, check in CHECK_OF_REASON.items():
        reasons.setdefault(check, []).append(reason)
    return reasons

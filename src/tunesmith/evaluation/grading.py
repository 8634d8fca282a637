"""Written answers against their references."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tunesmith.evaluation.answer_metrics import (
    chrf,
    is_exact,
    json_fields,
    json_value,
    rouge_l,
    token_f1,
)
from tunesmith.evaluation.classification import LabelSet
from tunesmith.evaluation.generation import Written
from tunesmith.evaluation.metric_choice import LABEL_METRICS
from tunesmith.evaluation.patterns import compiled
from tunesmith.schemas.evaluations import REGEX

_AGAINST_REFERENCE: dict[str, Callable[[str, str], float]] = {
    "exact_match": is_exact,
    "token_f1": token_f1,
    "rouge_l": rouge_l,
    "chrf": chrf,
    "json_valid": lambda answer, _: float(json_value(answer) is not None),
    "json_fields": json_fields,
}


@dataclass(frozen=True)
class Grade:
    """The figures of one answer by metric; `label` and `predicted` are class numbers where answers are labels."""

    figures: dict[str, float]
    label: int | None = None
    predicted: int | None = None


class Grader:
    """Scores answers in the metrics that were chosen; `references` are those of all rows, which name the classes."""

    def __init__(self, metrics: Sequence[str], references: Sequence[str]) -> None:
        self._metrics = [name for name in metrics if name in _AGAINST_REFERENCE]
        self._patterns = {name: compiled(name) for name in metrics if name.startswith(REGEX)}
        self._about = [name for name in metrics if name in ("answer_tokens", "stopped", "accuracy")]
        self.labels = LabelSet(references) if any(name in metrics for name in LABEL_METRICS) else None

    def grade(self, answer: Written, reference: str) -> Grade:
        """The figures of one answer."""
        figures = {name: float(_AGAINST_REFERENCE[name](answer.text, reference)) for name in self._metrics}
        figures |= {
            name: float(pattern.search(answer.text) is not None) for name, pattern in self._patterns.items()
        }
        label = None if self.labels is None else self.labels.number(reference)
        predicted = None if self.labels is None else self.labels.number(answer.text)
        known = {
            "answer_tokens": float(answer.new_tokens),
            "stopped": float(answer.stopped == "eos"),
            "accuracy": float(label == predicted),
        }
        return Grade({**figures, **{name: known[name] for name in self._about}}, label, predicted)

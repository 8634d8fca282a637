"""Which metrics to score: those that were named, if they fit the data, or those that the shape of the answers
asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from tunesmith.data.quality.labels import LONGEST_LABEL, MOST_CLASSES, normalised_label
from tunesmith.evaluation.answer_metrics import json_value
from tunesmith.evaluation.patterns import compiled
from tunesmith.schemas.errors import InvalidArgument
from tunesmith.schemas.evaluations import BENCHMARK, METRICS, REGEX

Shape = Literal["labels", "json", "short", "long"]

READ_METRICS = ("loss", "perplexity", "bits_per_byte", "token_accuracy")
"""What reading a given answer tells: no answer has to be written."""
LABEL_METRICS = ("accuracy", "macro_f1")
JSON_METRICS = ("json_valid", "json_fields")
WRITTEN_OF_SHAPE: dict[Shape, tuple[str, ...]] = {
    "labels": LABEL_METRICS,
    "json": (*JSON_METRICS, "exact_match"),
    "short": ("exact_match", "token_f1"),
    "long": ("rouge_l", "chrf"),
}
ABOUT_LENGTH = ("answer_tokens", "stopped")

SHORT_REFERENCE_TOKENS = 64
"""Up to this median length answers are short: longer ones hardly ever match word for word."""
UNASKED_TOKENS = 16_384
"""Unasked, answers are written where all references together have at most so many tokens: writing costs far more than
reading."""
LEAST_ROWS_PER_LABEL = 3
"""Answers are labels when each is used this often on average: half a golden set is small."""
FEWEST_LABEL_ROWS = 10
MOST_ODD = 0.1
"""Up to this share of the references may be of another shape."""


@dataclass(frozen=True)
class Choice:
    """The metrics, in the order in which they are told, and why these."""

    metrics: tuple[str, ...]
    because: str

    @property
    def written(self) -> tuple[str, ...]:
        """Those that need an answer of the model's own."""
        return tuple(name for name in self.metrics if name not in READ_METRICS)


def require_known(wanted: Sequence[str]) -> None:
    """Refuse a metric that does not exist.

    Raises:
        InvalidArgument: the message names it, the recovery lists those there are.
    """
    for name in wanted:
        if name.startswith(REGEX):
            compiled(name)
        elif name.startswith(BENCHMARK):
            continue  # `harness` knows
        elif name not in METRICS:
            raise InvalidArgument(
                f"There is no metric {name[:40]!r}.",
                f"Call evaluate_model with metrics from {', '.join(METRICS)} and {REGEX}<pattern>.",
            )


def shape_of(references: Sequence[str], tokens: Sequence[int]) -> Shape:
    """What kind of answers the references are; `tokens` are their lengths."""
    parsed = sum(json_value(reference) is not None for reference in references)
    if parsed >= (1 - MOST_ODD) * len(references):
        return "json"
    if _are_labels(references):
        return "labels"
    return "short" if median(tokens) <= SHORT_REFERENCE_TOKENS else "long"


def choose_metrics(wanted: Sequence[str], references: Sequence[str], tokens: Sequence[int]) -> Choice:
    """The metrics wanted, or those that suit the references when none is named.

    Raises:
        InvalidArgument: a metric does not fit these answers.
    """
    shape = shape_of(references, tokens)
    told = _told(shape, references, tokens)
    if wanted:
        _require_fit(wanted, shape, told)
        patterns = tuple(dict.fromkeys(name for name in wanted if name.startswith(REGEX)))
        return Choice((*(name for name in METRICS if name in wanted), *patterns), "These metrics were named.")
    written = (*WRITTEN_OF_SHAPE[shape], *ABOUT_LENGTH)
    if shape == "long" and sum(tokens) > UNASKED_TOKENS:
        return Choice(
            READ_METRICS,
            f"{told} Writing {sum(tokens)} tokens of answers would take long, so they were only read: name "
            f"{' and '.join(WRITTEN_OF_SHAPE[shape])} to have them written.",
        )
    chosen = {*READ_METRICS, *written}
    return Choice(
        tuple(name for name in METRICS if name in chosen),
        f"{told} Hence {' and '.join(WRITTEN_OF_SHAPE[shape])} beside the loss.",
    )


def _told(shape: Shape, references: Sequence[str], tokens: Sequence[int]) -> str:
    rows = len(references)
    if shape == "labels":
        return f"The {rows} answers are {len(_classes(references))} different labels."
    if shape == "json":
        return f"The {rows} answers are JSON."
    size = f"{median(tokens):.0f} tokens in the middle"
    return f"The {rows} answers are {'short texts' if shape == 'short' else 'long texts'} ({size})."


def _require_fit(wanted: Sequence[str], shape: Shape, told: str) -> None:
    needed: tuple[tuple[Shape, tuple[str, ...], str], ...] = (
        ("labels", LABEL_METRICS, "few different answers, each used again and again"),
        ("json", JSON_METRICS, "answers that are JSON objects or arrays"),
    )
    for fitting, names, what in needed:
        misfits = [name for name in wanted if name in names]
        if misfits and shape != fitting:
            others = [name for name in wanted if name not in names] or list(WRITTEN_OF_SHAPE[shape])
            raise InvalidArgument(
                f"{' and '.join(misfits)} cannot be scored here: that takes {what}. {told}",
                f"Call evaluate_model with metrics={_quoted(others)}, or with none: then the data decides.",
            )


def _quoted(names: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"


def _are_labels(references: Sequence[str]) -> bool:
    classes = _classes(references)
    odd = sum(len(text.strip()) > LONGEST_LABEL or "\n" in text.strip() for text in references)
    return (
        odd == 0
        and len(references) >= FEWEST_LABEL_ROWS
        and 2 <= len(classes) <= MOST_CLASSES
        and len(references) >= LEAST_ROWS_PER_LABEL * len(classes)
    )


def _classes(references: Sequence[str]) -> Counter[str]:
    return Counter(map(normalised_label, references))

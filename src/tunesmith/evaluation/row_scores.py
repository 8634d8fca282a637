"""The file of an evaluation's row scores: one JSON object a row, figures only, never a word of a row.

row            the source row's number
tokens, size   loss tokens of the row, and the UTF-8 bytes that they spell
loss           the sum of their losses in nats
correct        how many of them the model ranks first
answer         {metric: figure} of the written answer
label, predicted   numbers of classes where answers are labels; -1 is an answer that is no label
base           the same (loss, correct, answer, predicted) for what it is compared with
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tunesmith.evaluation.metrics import RowScore


def to_bytes(tuned: Sequence[RowScore], base: Sequence[RowScore] | None) -> bytes:
    """The file's content; `base` has the same rows in the same order, with as many tokens and bytes."""
    lines = []
    for place, row in enumerate(tuned):
        line: dict[str, Any] = {"row": row.row, "tokens": row.tokens, "size": row.size, **_figures(row)}
        if row.label is not None:
            line["label"] = row.label
        if base is not None:
            line["base"] = _figures(base[place])
        lines.append(json.dumps(line) + "\n")
    return "".join(lines).encode()


def read(path: Path) -> list[RowScore] | None:
    """The scores of the model itself, or None where the file is missing, damaged or of an older form."""
    return _read(path, lambda line: line)


def read_base(path: Path) -> list[RowScore] | None:
    """The scores of what it was compared with, or None as `read`, and where there are none."""
    return _read(path, lambda line: line["base"])


def _read(path: Path, side: Callable[[dict[str, Any]], dict[str, Any]]) -> list[RowScore] | None:
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return [_row(line, side(line)) for line in lines]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _row(line: dict[str, Any], figures: dict[str, Any]) -> RowScore:
    return RowScore(
        row=int(line["row"]),
        tokens=int(line["tokens"]),
        size=int(line["size"]),
        label=line.get("label"),
        loss=float(figures["loss"]),
        correct=int(figures["correct"]),
        answer={str(name): float(figure) for name, figure in figures["answer"].items()},
        predicted=figures.get("predicted"),
    )


def _figures(row: RowScore) -> dict[str, Any]:
    figures: dict[str, Any] = {"loss": row.loss, "correct": row.correct, "answer": dict(row.answer)}
    return figures if row.predicted is None else {**figures, "predicted": row.predicted}

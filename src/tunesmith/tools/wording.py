"""How results are put into a short text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from tunesmith.schemas.base import NextCall
from tunesmith.schemas.enums import Verdict


def ask_again(handle: str) -> NextCall:
    """The call that tells how work which outlasted its call gets on."""
    return NextCall(
        tool="get_status",
        arguments={"run_id": handle, "wait_s": 30},
        why="the work goes on in the background; this waits for its result",
    )


def and_next(text: str, calls: Sequence[NextCall]) -> str:
    """`text`, and the calls that make sense now."""
    lines = [text]
    for call in calls:
        arguments = json.dumps(call.arguments, ensure_ascii=False)
        lines.append(f"Next: {call.tool} {arguments} - {call.why}.")
    return "\n".join(lines)


def counts(figures: Mapping[str, object]) -> str:
    """`{"a": 1, "b": 2}` as `a 1, b 2`."""
    return ", ".join(f"{name} {value}" for name, value in figures.items())


def verdicts(checklist: Mapping[str, Verdict]) -> str:
    """The lines of the quality checklist as one sentence."""
    return "Checklist: " + ", ".join(f"{line} {verdict.value}" for line, verdict in checklist.items()) + "."


def seconds(duration_s: float | None) -> str:
    """A duration for people."""
    if duration_s is None:
        return "unknown"
    if duration_s < 90:
        return f"{duration_s:.0f} s"
    if duration_s < 5400:
        return f"{duration_s / 60:.0f} min"
    return f"{duration_s / 3600:.1f} h"


def size(count_bytes: int | None) -> str:
    """A number of bytes for people."""
    if count_bytes is None:
        return "unknown"
    value = float(count_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def figure(value: float | None, digits: int = 3) -> str:
    """A number for people, or a dash."""
    return "-" if value is None else f"{value:.{digits}f}"

"""What the fields of events may be.

A line that says anything else is damaged, or of another version. It is skipped like garbage, so that nobody who adds
events up has to doubt their types.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tunesmith.schemas.enums import RunState


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return _is_integer(value) and value >= 0


def _is_report(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _is_text(value.get(name)) for name in ("code", "message", "recovery")
    )


_Check = Callable[[Any], bool]
_TIMES: dict[str, _Check] = {"t": _is_number, "boot": _is_number}
_FIGURES = (
    "loss",
    "tokens_per_s",
    "learning_rate",
    "epoch",
    "eta_s",
    "peak_memory_bytes",
    "grad_norm",
    "data_wait",
)
_INPUTS = ("rows", "tokens", "loss_tokens", "ended_rows", "cut_rows", "vocabulary", "memory_bytes")
_FIELDS: dict[str, dict[str, _Check]] = {
    "claimed": {**_TIMES, "host_pid": _is_integer, "device": _is_text},
    "started": {**_TIMES, "pid": _is_integer, **dict.fromkeys(("birth", "node", "boot_id"), _is_text)},
    "phase": {**_TIMES, "phase": _is_text},
    "progress": {
        **_TIMES,
        "step": _is_count,
        "total_steps": _is_count,
        **dict.fromkeys(_FIGURES, _is_number),
    },
    "evaluated": {**_TIMES, "step": _is_count, "eval_loss": _is_number, "accuracy": _is_number},
    "inputs": {**_TIMES, **dict.fromkeys(_INPUTS, _is_count)},
    "prompt_use": {
        **_TIMES,
        **dict.fromkeys(("step", "rows"), _is_count),
        **dict.fromkeys(("own_loss", "swapped_loss", "base_own_loss", "base_swapped_loss"), _is_number),
    },
    "checkpoint": {**_TIMES, "step": _is_count},
    "finding": {**_TIMES, **dict.fromkeys(("code", "message", "recovery"), _is_text)},
    "finished": {**_TIMES, "error": _is_report},
    "exited": {**_TIMES, "returncode": _is_integer, "oom_kills": _is_count},
}
"""Fields that may be of that type, null or absent."""
_CHOICES: dict[str, tuple[str, tuple[str, ...]]] = {
    "finding": ("severity", ("info", "warn", "fail")),
    "finished": ("state", (RunState.SUCCEEDED.value, RunState.FAILED.value, RunState.STOPPED.value)),
}
"""Fields that have to be there."""


def is_well_formed(event: dict[str, Any]) -> bool:
    """Whether each known field of the event is of its type; unknown events and fields are let through."""
    name = event.get("event")
    if not isinstance(name, str) or not _is_integer(event.get("attempt")):
        return False
    for field, check in _FIELDS.get(name, _TIMES).items():
        value = event.get(field)
        if value is not None and not check(value):
            return False
    choice = _CHOICES.get(name)
    return choice is None or event.get(choice[0]) in choice[1]

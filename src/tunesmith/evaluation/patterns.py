"""Patterns that an answer is searched for, as named by a caller: `regex:<pattern>`.

They are RE2's (https://github.com/google/re2/wiki/Syntax): no pattern takes more than linear time or more than
the memory it is allowed, which neither `re` nor `regex` can promise. The price is that there are no lookarounds
and no back references.
"""

from __future__ import annotations

from typing import Any

import re2

from tunesmith.schemas.errors import InvalidArgument
from tunesmith.schemas.evaluations import REGEX

LONGEST_PATTERN = 500
_MAX_MEMORY_BYTES = 8 * 2**20


def compiled(metric: str) -> Any:
    """The pattern of a metric `regex:<pattern>`; `search` on it finds it anywhere in a text.

    Raises:
        InvalidArgument: it is no pattern, or one too long or too large.
    """
    pattern = metric.removeprefix(REGEX)
    if not pattern or len(pattern) > LONGEST_PATTERN:
        raise InvalidArgument(
            f"A pattern has 1 to {LONGEST_PATTERN} characters; this one has {len(pattern)}.",
            'Call evaluate_model with metrics=["regex:<pattern>"].',
        )
    options = re2.Options()
    options.max_mem = _MAX_MEMORY_BYTES
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        told = reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)
        raise InvalidArgument(
            f"{metric[:80]!r} is not a pattern that can be searched for: {told[:120]}.",
            "Patterns are RE2's: write it without lookarounds and back references, or choose exact_match.",
        ) from error

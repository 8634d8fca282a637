"""How much and how often a client may ask: arguments of a bounded size, and calls from a bucket that refills."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tunesmith.jobs import clock
from tunesmith.schemas.errors import InvalidArgument, RateLimited

MOST_CHARACTERS = 1_000_000
"""Of all arguments of a call together: sixty times the longest prompt that a tool takes."""
BURST = 300
CALLS_PER_S = 20.0
"""An assistant makes a call every few seconds, and get_status waits for news by itself."""

_OTHER_VALUE = 8
"""What a number, a boolean or a null counts for."""


class CallBudget:
    """A token bucket: `burst` calls at once, then `calls_per_s`. One for each server, whatever its transport."""

    def __init__(
        self,
        burst: int = BURST,
        calls_per_s: float = CALLS_PER_S,
        now_s: Callable[[], float] = clock.boot_s,
    ) -> None:
        self._burst = burst
        self._calls_per_s = calls_per_s
        self._now_s = now_s
        self._left = float(burst)
        self._counted_at_s = now_s()

    def take(self) -> None:
        """Count one call.

        Raises:
            RateLimited: there were too many; it was not counted, and says in how many seconds one is free again.
        """
        now_s = self._now_s()
        earned = max(0.0, now_s - self._counted_at_s) * self._calls_per_s
        self._left = min(float(self._burst), self._left + earned)
        self._counted_at_s = now_s
        if self._left < 1:
            wait_s = math.ceil((1 - self._left) / self._calls_per_s)
            raise RateLimited(
                f"More than {self._burst} calls came at once, or more than {self._calls_per_s:g} a second; this one "
                "was not made.",
                f"Call again in {wait_s} s. To wait for work, call get_status with wait_s instead of asking often.",
            )
        self._left -= 1


def check_size(tool: str, arguments: dict[str, Any]) -> None:
    """See to it that the arguments of a call are no larger than any honest call's, before anything looks at them.

    Raises:
        InvalidArgument: they are not; the message names the largest.
    """
    sizes = {name: len(name) + _characters(value, MOST_CHARACTERS) for name, value in arguments.items()}
    if sum(sizes.values()) <= MOST_CHARACTERS:
        return
    largest = max(sizes, key=sizes.__getitem__)
    named = f"{largest} is too large" if len(largest) <= 40 else "The name of one is too long"
    raise InvalidArgument(
        f"The arguments of {tool} have more than {MOST_CHARACTERS:,} characters. {named}; nothing was done.",
        "Put data into a file and pass its path to load_dataset; send long lists in several calls.",
    )


def _characters(value: Any, enough: int) -> int:
    """The characters of a JSON value, about; counting ends once there are more than `enough`."""
    counted, waiting = 0, [value]
    while waiting and counted <= enough:
        found = waiting.pop()
        if isinstance(found, str):
            counted += len(found) + 2
        elif isinstance(found, dict):
            counted += sum(len(name) + 4 for name in found)
            waiting.extend(found.values())
        elif isinstance(found, list):
            counted += len(found) + 2
            waiting.extend(found)
        else:
            counted += _OTHER_VALUE
    return counted

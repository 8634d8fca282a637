"""Trying again when the Hub stumbles."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tunesmith.publishing.hub_errors import asked_delay_s, is_transient, translated

T = TypeVar("T")


@dataclass(frozen=True)
class Backoff:
    """Waits double from `first_delay_s`; the server's Retry-After wins, both up to `longest_delay_s`."""

    attempts: int = 6
    first_delay_s: float = 1.0
    longest_delay_s: float = 60.0
    sleep: Callable[[float], None] = time.sleep

    def call(self, action: Callable[[], T], *, doing: str, endpoint: str, report: Callable[[str], None]) -> T:
        """`action`'s result. It has to be safe to repeat: an answer may be lost after the Hub has acted.

        Raises:
            TunesmithError: the Hub refused, or every attempt failed.
        """
        delay_s = self.first_delay_s
        for attempt in range(1, self.attempts + 1):
            try:
                return action()
            except Exception as error:
                if attempt == self.attempts or not is_transient(error):
                    told = translated(error, doing, endpoint)
                    if told is None:
                        raise
                    raise told from None
                asked_s = asked_delay_s(error)
                wait_s = min(delay_s if asked_s is None else asked_s, self.longest_delay_s)
            report(f"The Hub stumbled over {doing}; attempt {attempt + 1} of {self.attempts} in {wait_s:g} s")
            self.sleep(wait_s)
            delay_s *= 2
        raise AssertionError("unreachable: the last attempt returns or raises")

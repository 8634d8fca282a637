"""Bounded waits: a condition comes true in time, or the test fails with what was last seen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(look: Callable[[], T], holds: Callable[[T], bool] = bool, within_s: float = 20.0) -> T:
    """What `look` returned once it held.

    Raises:
        AssertionError: it did not in time.
    """
    deadline = time.monotonic() + within_s
    while True:
        seen = look()
        if holds(seen):
            return seen
        assert time.monotonic() < deadline, f"still not after {within_s} s: {seen!r}"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

"""The one owner of time: wall time for people, boot time for intervals."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def wall_s() -> float:
    """Seconds since 1970. It may jump; never subtract two of them."""
    return time.time()


def boot_s() -> float:
    """Seconds since boot, suspended time included where the platform can tell; never jumps back."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def timestamp() -> str:
    """The wall time as RFC 3339 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

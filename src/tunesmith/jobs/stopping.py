"""A stop that somebody asked for: finish the step, save, end; and by when, or be killed."""

from __future__ import annotations

from tunesmith.jobs import clock
from tunesmith.jobs.files import read_document, write_document
from tunesmith.jobs.paths import HandlePaths
from tunesmith.schemas.base import Document


class StopRequest(Document):
    """`asked_boot_s` in boot seconds: after a restart of the machine nobody is left to be stopped."""

    asked_boot_s: float
    grace_s: float

    @property
    def is_overdue(self) -> bool:
        """Whether whoever was to stop has had its time."""
        return clock.boot_s() >= self.asked_boot_s + self.grace_s


def request_stop(paths: HandlePaths, attempt: int, grace_s: float) -> None:
    """Ask an attempt to stop. Asking again can only bring the end nearer.

    Raises:
        DiskFull, StorageFailed: nothing was asked.
    """
    asked = StopRequest(asked_boot_s=clock.boot_s(), grace_s=grace_s)
    earlier = read_stop(paths, attempt)
    if earlier is None or asked.asked_boot_s + grace_s < earlier.asked_boot_s + earlier.grace_s:
        write_document(paths.stop(attempt), asked)


def read_stop(paths: HandlePaths, attempt: int) -> StopRequest | None:
    """What was asked of the attempt; None when nothing was, or it cannot be read."""
    return read_document(paths.stop(attempt), StopRequest)

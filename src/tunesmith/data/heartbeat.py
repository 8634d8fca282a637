"""What a job does between two rows: tell how far it is, and hear a stop."""

from __future__ import annotations

from collections.abc import Callable

from tunesmith.jobs import clock
from tunesmith.jobs.context import JobContext, Stopped

INTERVAL_S = 0.5
PER_MILLE = 1000
"""What progress of work in stages is told in."""


class Heartbeat:
    """Call `beat` as often as you like; it acts at most twice a second."""

    def __init__(self, job: JobContext) -> None:
        self._job = job
        self._due = clock.boot_s()

    def beat(self, done: int, total: int) -> None:
        """Tell progress in rows.

        Raises:
            Stopped: somebody asked the job to stop.
        """
        now = clock.boot_s()
        if now < self._due:
            return
        self._due = now + INTERVAL_S
        if self._job.stop_requested():
            raise Stopped
        self._job.progress(done, max(done, total))

    def stage(self, start: float, end: float, tasks: int) -> Callable[[float], None]:
        """For work in stages: what to call with the number of tasks done (parts of tasks included) of a stage that
        takes the whole from the share `start` to the share `end`. Raises as `beat`.
        """

        def tell(done: float) -> None:
            share = start + (end - start) * min(1.0, done / max(1, tasks))
            self.beat(round(share * PER_MILLE), PER_MILLE)

        return tell

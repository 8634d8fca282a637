"""What a job does between two rows: tell how far it is, and hear a stop."""

from __future__ import annotations

from tunesmith.jobs import clock
from tunesmith.jobs.context import JobContext, Stopped

INTERVAL_S = 0.5


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

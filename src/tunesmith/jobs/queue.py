"""What the host has something to do for, first come first served."""

from __future__ import annotations

import os
from dataclasses import dataclass

from tunesmith.jobs.files import make_folder, storage_errors, write_bytes
from tunesmith.jobs.paths import Store
from tunesmith.schemas.handles import is_handle


@dataclass(frozen=True)
class Queue:
    """One small file per handle. It holds the handle's place: a number, because file times jump with the clock."""

    store: Store

    def add(self, handle: str) -> None:
        """Put the handle last, durably; one that is in the queue already keeps its place.

        Raises:
            DiskFull, StorageFailed: it is not in the queue.
        """
        with storage_errors(self.store.queue):
            make_folder(self.store.queue)
        if not self.store.queued(handle).exists():
            write_bytes(self.store.queued(handle), b"%d" % (1 + max(self._places().values(), default=0)))

    def remove(self, handle: str) -> None:
        """Take the handle out, if it is there."""
        self.store.queued(handle).unlink(missing_ok=True)

    def handles(self) -> list[str]:
        """Everything in the queue, the first to come first; handles added at the same instant in no certain order."""
        places = self._places()
        return sorted(places, key=lambda handle: (places[handle], handle))

    def _places(self) -> dict[str, int]:
        if not self.store.queue.is_dir():
            return {}
        names = [entry.name for entry in os.scandir(self.store.queue) if is_handle(entry.name)]
        return {name: self._place(name) for name in names}

    def _place(self, handle: str) -> int:
        try:
            return int(self.store.queued(handle).read_bytes() or b"0")
        except (OSError, ValueError):
            return 0

"""What of a disk's content a power failure may take, followed call by call."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.tracing import Call


class Disk:
    """Files with unsynced bytes, and names whose folder has not been synced since they were given."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self._dirty: set[str] = set()
        self._unnamed: set[str] = set()
        self._known: set[str] = set()

    def take(self, call: Call) -> None:
        """Take one call that succeeded into account."""
        path = call.path
        if not path.startswith(self.root) or call.result is None or call.result < 0:
            return
        if call.name in ("openat", "mkdir", "mkdirat"):
            if call.changes and path not in self._known:
                self._known.add(path)
                self._unnamed.add(path)
        elif call.name in ("write", "ftruncate"):
            self._dirty.add(path)
        elif call.name in ("fsync", "fdatasync"):
            self._dirty.discard(path)
            self._unnamed = {one for one in self._unnamed if os.path.dirname(one) != path}
        elif call.name.startswith("rename"):
            self._rename(call.source, path)
        else:
            self._forget(path)

    def at_risk(self, *paths: Path) -> list[str]:
        """What of these files, of what is below them and of the folders above them a power failure may take."""
        return sorted(
            f"{what} of {one.removeprefix(self.root)}"
            for what, some in (("bytes", self._dirty), ("the name", self._unnamed))
            for one in some
            if any(_within(one, str(path)) or _within(str(path), one) for path in paths)
        )

    def _rename(self, old: str, new: str) -> None:
        self._forget(new)
        for some in (self._dirty, self._unnamed, self._known):
            moved = {one for one in some if _within(one, old)}
            some -= moved
            some |= {new + one.removeprefix(old) for one in moved}
        self._unnamed.add(new)

    def _forget(self, path: str) -> None:
        for some in (self._dirty, self._unnamed, self._known):
            some.discard(path)


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")

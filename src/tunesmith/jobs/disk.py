"""What the store takes on its disk, and what the disk has left."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tunesmith.jobs.folders import listed
from tunesmith.jobs.paths import Store

_BLOCK_BYTES = 512
"""The unit of st_blocks, whatever the disk's own blocks are (stat(2))."""


@dataclass(frozen=True)
class Use:
    """Bytes of allocated blocks; a file with several names counts once.

    `freed_bytes`: what removing all of it would give back, which a file with another name elsewhere would not.
    """

    taken_bytes: int
    freed_bytes: int


def use_of(paths: Iterable[Path]) -> Use:
    """What files and folders take together. Links are not followed; what is gone takes nothing."""
    files: dict[tuple[int, int], tuple[os.stat_result, int]] = {}
    for path in paths:
        for status in _statuses(path):
            name = status.st_dev, status.st_ino
            files[name] = status, files.get(name, (status, 0))[1] + 1
    taken = freed = 0
    for status, names in files.values():
        size_bytes = status.st_blocks * _BLOCK_BYTES
        taken += size_bytes
        freed += size_bytes if stat.S_ISDIR(status.st_mode) or names >= status.st_nlink else 0
    return Use(taken, freed)


def free_bytes(store: Store) -> int:
    """What the store's disk has left for this user; of its nearest parent's while there is no store.

    Raises:
        OSError: the disk does not say.
    """
    there = next(folder for folder in (store.root, *store.root.parents) if folder.exists())
    return shutil.disk_usage(there).free


def _statuses(path: Path) -> Iterator[os.stat_result]:
    """Of everything at and below `path`. Other processes may remove things meanwhile."""
    waiting = [path]
    while waiting:
        current = waiting.pop()
        try:
            yield current.lstat()
        except FileNotFoundError:
            continue
        waiting.extend(listed(current))

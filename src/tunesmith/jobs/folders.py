"""Looking into folders of the store without following a link out of it."""

from __future__ import annotations

import stat
from pathlib import Path

from tunesmith.jobs.paths import Store
from tunesmith.schemas.enums import Work
from tunesmith.schemas.handles import PREFIX_OF_WORK, is_handle


def is_folder(path: Path) -> bool:
    """Whether it is a folder itself, and no link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def is_file(path: Path) -> bool:
    """Whether it is a plain file itself, and no link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def listed(folder: Path) -> list[Path]:
    """What is in a folder, by name; nothing when it is a link, or gone, or must not be read."""
    if not is_folder(folder):
        return []
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []


def handles_in(store: Store, work: Work) -> list[str]:
    """The handles of one kind that have a folder of their own, by name."""
    prefix = PREFIX_OF_WORK[work]
    return [
        path.name
        for path in listed(store.folder_of(work))
        if is_handle(path.name, prefix) and is_folder(path)
    ]

"""What a test or a benchmark has left behind: processes, and descriptors of this one."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.waiting import is_alive


def processes_naming(folder: Path) -> list[str]:
    """The commands of living processes, this one apart, whose arguments or environment name the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            command, environment = ((entry / name).read_bytes() for name in ("cmdline", "environ"))
        except OSError:
            continue
        if str(folder).encode() in command + environment and is_alive(int(entry.name)):
            found.append(f"{entry.name} {command[:200]!r}")
    return found


def open_descriptors() -> set[str]:
    """The numbers and targets of this process's descriptors."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found.add(f"{entry.name} {entry.readlink()}")
        except OSError:  # that of the listing itself
            continue
    return found

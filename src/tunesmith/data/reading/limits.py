"""Bounds on what a process that reads a stranger's data may take."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

MEMORY_BYTES = 3_000_000_000
"""What a data process may allocate on top of what it has when it is bounded."""


def limit_process(memory_bytes: int = MEMORY_BYTES) -> None:
    """Bound this process and those it forks; for good. Call it once, before the first foreign byte is read.

    An allocation beyond the bound raises MemoryError, in Arrow's libraries as well, which readers tell as
    `out_of_memory`. The bound is on private writable memory (RLIMIT_DATA): address space alone says little in a
    process that maps large libraries and files. There are no core dumps, as they would hold the data. CPU time is
    not bounded: large data takes long, and a stop is heard between rows.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":  # elsewhere the bound is not enforced, or breaks the allocator
        return
    bound = _data_bytes() + memory_bytes
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    bound = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))


def _data_bytes() -> int:
    """The private writable memory of this process now (VmData of proc(5))."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0

"""What this machine can compute with, and what it has room for."""

from __future__ import annotations

import os
import resource
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Hardware:
    """`accelerator` is None on a machine that trains on its processor. Memory is what is free now, in bytes."""

    accelerator: str | None
    memory_bytes: int
    bfloat16: bool
    cores: int


def this_machine() -> Hardware:
    """The hardware that a job process started now would train on: one accelerator, or the processor."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info(0)
        return Hardware(torch.cuda.get_device_name(0), free, torch.cuda.is_bf16_supported(False), cores)
    return Hardware(None, _available_memory(), True, cores)


def use_one_accelerator() -> None:
    """Without a launcher, several visible GPUs would be driven by one process in a way that TRL refuses.

    To be called before the first use of a GPU in this process.
    """
    if "WORLD_SIZE" not in os.environ:
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")


def peak_memory_bytes() -> int:
    """The most memory that training took so far: on the accelerator when there is one, else of this process."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _available_memory() -> int:
    """What Linux says can be had without swapping; elsewhere half of all memory."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return min(int(line.split()[1]) * 1024, _cgroup_room())
    except (OSError, ValueError, IndexError):
        pass
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _cgroup_room() -> int:
    """What a container's memory limit leaves; a very large number without one."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text().strip()
        used = int((folder / "memory.current").read_text())
    except (OSError, ValueError):
        return sys.maxsize
    return sys.maxsize if limit == "max" else max(0, int(limit) - used)

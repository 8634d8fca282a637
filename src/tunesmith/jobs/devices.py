"""What trainings run on, and how many fit beside each other."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CPU = "cpu"
_PART_FOR_TRAININGS = 0.9
_CORES_EACH = 2
_ASK_S = 20.0


@dataclass(frozen=True)
class Device:
    """One GPU by its number, or the processor. `slots`: trainings side by side, if `memory_bytes` allow."""

    name: str
    slots: int
    memory_bytes: int


@dataclass(frozen=True)
class Tenant:
    """A training on a device, and the most memory that its plan wants."""

    device: str
    memory_bytes: int


def this_machines_devices() -> list[Device]:
    """Each NVIDIA GPU that `CUDA_VISIBLE_DEVICES` leaves, or the processor where there is none.

    On a processor as many trainings run side by side as have two cores each; on a GPU, as many as its memory holds.
    """
    gpus = _gpus()
    return gpus or [Device(CPU, max(1, _cores() // _CORES_EACH), _main_memory_bytes())]


def place(devices: Sequence[Device], tenants: Sequence[Tenant], memory_bytes: int) -> str | None:
    """The emptiest device with room for a training that wants so much memory; None while all are taken.

    An empty device takes any: what does not fit it is the planner's to say, and the trainer's ladder to mend.
    """
    for device in sorted(devices, key=lambda one: sum(tenant.device == one.name for tenant in tenants)):
        here = [tenant for tenant in tenants if tenant.device == device.name]
        wanted = memory_bytes + sum(tenant.memory_bytes for tenant in here)
        if not here or (len(here) < device.slots and wanted <= _PART_FOR_TRAININGS * device.memory_bytes):
            return device.name
    return None


def _gpus() -> list[Device]:
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    query = [command, "--query-gpu=index,uuid,memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, timeout=_ASK_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    found = [
        [field.strip() for field in line.split(",")] for line in told.splitlines() if line.count(",") == 2
    ]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        names = [name.strip() for name in visible.split(",")]
        found = [
            gpu for gpu in found if gpu[0] in names or any(name and gpu[1].startswith(name) for name in names)
        ]
    return [Device(index, slots=64, memory_bytes=int(mebibytes) * 2**20) for index, _, mebibytes in found]


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _main_memory_bytes() -> int:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            total = min(total, int(Path(limit).read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue
    return total

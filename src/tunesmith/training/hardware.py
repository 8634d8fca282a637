"""What this machine can compute with, and what it has room for."""

from __future__ import annotations

import os
import platform
import resource
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

DeviceKind = Literal["cpu", "cuda", "rocm", "mps"]

_BFLOAT16_FLAGS = {"amx_bf16", "avx512_bf16", "bf16"}
"""Linux's names for processors that multiply bfloat16 matrices: Intel and AMD, and ARM's `bf16`."""
_FLASH_ATTENTION_CAPABILITY = (8, 0)
"""flash-attn 2 needs Ampere or newer (its README)."""


@dataclass(frozen=True)
class Hardware:
    """What one training has to itself.

    `memory_bytes` is free now on the device that trains: on one accelerator of `count`, or in main memory.
    `bfloat16` says that the device multiplies bfloat16 natively, and so faster than float32. `bitsandbytes` and
    `flash_attention` say that the libraries are installed and work on the device.
    """

    kind: DeviceKind
    name: str
    memory_bytes: int
    bfloat16: bool
    cores: int
    count: int = 1
    bitsandbytes: bool = True
    flash_attention: bool = False

    @property
    def accelerator(self) -> str | None:
        """The accelerator's name; None on a machine that trains on its processor."""
        return None if self.kind == "cpu" else self.name

    @property
    def in_words(self) -> str:
        """For reasons and messages."""
        if self.kind == "cpu":
            return f"{self.cores} processor cores, no accelerator"
        many = f"{self.count} x " if self.count > 1 else ""
        return f"{many}{self.name}" + (", of which a run uses one" if self.count > 1 else "")


def this_machine() -> Hardware:
    """The hardware that a job process started now would train on: one accelerator, or the processor."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    bitsandbytes = find_spec("bitsandbytes") is not None
    if torch.cuda.is_available():
        free, _ = torch.cuda.mem_get_info(0)
        kind: DeviceKind = "cuda" if torch.version.hip is None else "rocm"
        recent = torch.cuda.get_device_capability(0) >= _FLASH_ATTENTION_CAPABILITY
        return Hardware(
            kind,
            torch.cuda.get_device_name(0),
            free,
            torch.cuda.is_bf16_supported(including_emulation=False),
            cores,
            torch.cuda.device_count(),
            bitsandbytes,
            kind == "cuda" and recent and find_spec("flash_attn") is not None,
        )
    if training_device() == "mps":
        free = torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
        native = torch.backends.mps.is_macos_or_newer(14, 0)
        return Hardware("mps", "Apple GPU", free, native, cores, bitsandbytes=bitsandbytes)
    return Hardware(
        "cpu",
        processor_name(),
        _available_memory(),
        processor_has_bfloat16(),
        cores,
        bitsandbytes=bitsandbytes,
    )


def training_device() -> Literal["cuda", "mps", "cpu"]:
    """torch's name for the kind of device that a training uses here (ROCm is "cuda" to torch)."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


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


def memory_room() -> int:
    """The most memory that this process can come to have where it trains: what it has, and what is free."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0]) + int(torch.cuda.memory_reserved())
    return _available_memory() + _resident_bytes()


def _resident_bytes(statm: Path = Path("/proc/self/statm")) -> int:
    """What this process has of main memory, as Linux tells it; elsewhere nothing."""
    try:
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def processor_has_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor multiplies bfloat16 natively, as Linux tells it; elsewhere False."""
    return bool(_BFLOAT16_FLAGS & set(_cpuinfo(cpuinfo, ("flags", "Features")).split()))


def processor_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """What the processor is called, where the system says so."""
    return _cpuinfo(cpuinfo, ("model name",)) or platform.processor() or platform.machine()


def _cpuinfo(path: Path, keys: tuple[str, ...]) -> str:
    """The first processor's entry under one of these keys; empty where there is none."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in keys:
            return value.strip()
    return ""


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
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return sys.maxsize
    # Cached files count as used, and give way.
    used -= int(statistics.get("inactive_file", 0))
    return sys.maxsize if limit == "max" else max(0, int(limit) - used)

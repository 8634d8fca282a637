"""Medians, quantiles, and a server to measure."""

from __future__ import annotations

import os
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mcp import StdioServerParameters

from tunesmith.jobs import lease
from tunesmith.jobs.paths import Store


def spread(values: Sequence[float], unit: str = "s", digits: int = 2) -> str:
    """Median and range of some measurements."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"median {middle:.{digits}f} {unit} ({low:.{digits}f} to {high:.{digits}f}, n={len(values)})"


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def server_of(store: Path) -> StdioServerParameters:
    """`tunesmith serve` over a store of its own."""
    environment = {**os.environ, "TUNESMITH_HOME": str(store), "TUNESMITH_HOST_IDLE_S": "60"}
    return StdioServerParameters(
        command=sys.executable, args=["-P", "-m", "tunesmith", "serve"], env=environment
    )


def resident_bytes(pid: int) -> int:
    """Resident memory of a process."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        for line in file:
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    raise LookupError(pid)


def end_host(store: Store) -> None:
    """End the store's background host, and wait until it is gone."""
    pid = lease.holder(store.host_lease)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        while lease.holder(store.host_lease) == pid:
            time.sleep(0.01)

"""Which machine and which process: what tells a living process from a stranger with its number."""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_NETWORK_DISKS = (
    "nfs",
    "cifs",
    "smb",
    "9p",
    "lustre",
    "ceph",
    "gpfs",
    "beegfs",
    "glusterfs",
    "ocfs2",
    "gfs2",
    "afs",
)


def boot_id() -> str:
    """What is the same for all processes, of all containers too, from one start of a machine to the next.

    Empty where the platform has none.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def node() -> str:
    """The machine's name."""
    return platform.node()


def birth(pid: int) -> str | None:
    """When the process began, in the kernel's ticks since boot; None when there is no such process, or it is a zombie.

    Together with the pid it names one process for as long as the machine is up. Linux only: None elsewhere.
    """
    try:
        fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return None
    # Counted from the third field, the state; the birth is the twenty-second (proc(5)).
    return None if fields[0] in ("Z", "X") else fields[19]


def can_tell_births() -> bool:
    """Whether `birth` works here."""
    return sys.platform.startswith("linux")


def is_network_disk(path: Path) -> bool:
    """Whether another machine may have `path` too: locks cannot be relied on to cross machines."""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    resolved = os.path.realpath(path)
    best, kind = "", ""
    for line in lines:
        before, _, after = line.partition(" - ")
        mounted = before.split()[4].encode().decode("unicode_escape")
        inside = resolved == mounted or resolved.startswith(mounted.rstrip("/") + "/")
        if inside and len(mounted) >= len(best):
            best, kind = mounted, after.split()[0]
    return kind.removeprefix("fuse.").startswith(_NETWORK_DISKS) or kind.startswith("fuse.sshfs")

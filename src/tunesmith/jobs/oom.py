"""How many processes the kernel has ended because memory ran out, as the control group of this process counts them.

A process that is ended that way gets a SIGKILL like any other. Only this count, which rises at the same time, tells
the two apart: https://docs.kernel.org/admin-guide/cgroup-v1/memory.html (memory.oom_control) and
https://docs.kernel.org/admin-guide/cgroup-v2.html (memory.events).
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

_OURSELVES = Path("/proc/self")


def oom_kills(process: Path = _OURSELVES) -> int | None:
    """The count of the group that `process`, its folder below /proc, is in; None where it cannot be told.

    Children begin in their parent's group. Only the difference between two looks means something.
    """
    try:
        groups = (process / "cgroup").read_text(encoding="utf-8", errors="replace")
        mounts = (process / "mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    for version, name in ((1, "memory.oom_control"), (2, "memory.events")):
        group = _group(groups, version)
        folder = None if group is None else _folder(mounts, version, group)
        kills = None if folder is None else _count(folder / name)
        if kills is not None:
            return kills
    return None


def _group(groups: str, version: int) -> PurePosixPath | None:
    """The path of the group that accounts for memory: lines of `hierarchy:controllers:path`, see cgroups(7)."""
    for line in groups.splitlines():
        hierarchy, controllers, path = ([*line.split(":", 2), "", ""])[:3]
        if (hierarchy == "0" and version == 2) or (version == 1 and "memory" in controllers.split(",")):
            return PurePosixPath(path)
    return None


def _folder(mounts: str, version: int, group: PurePosixPath) -> Path | None:
    """Where the group is to be seen. In a container the mount may show only a part of the hierarchy, its root."""
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, *_, options) = before.split(), ([*after.split(), ""])[:3] if after else ("", "")
        if len(fields) < 5 or kind != ("cgroup" if version == 1 else "cgroup2"):
            continue
        if version == 1 and "memory" not in options.split(","):
            continue
        root, mounted = PurePosixPath(fields[3]), Path(fields[4])
        return mounted / group.relative_to(root) if group.is_relative_to(root) else mounted
    return None


def _count(path: Path) -> int | None:
    try:
        lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, count = line.partition(" ")
        if name == "oom_kill" and count.isdecimal():
            return int(count)
    return None

"""Python modules under strace: which calls they made, and what happens when one of them goes wrong."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
CHANGES = (
    "openat,write,ftruncate,fsync,fdatasync,rename,renameat,renameat2,mkdir,mkdirat,unlink,unlinkat,rmdir"
)
"""The calls with which this code changes a disk, or makes changes durable."""
_LINE = re.compile(r"^\d+ +(?P<name>\w+)\((?P<arguments>.*)\)\s+= (?P<result>-?\d+|\?)")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_DESCRIPTOR = re.compile(r"^\d+<([^>]*)>")


def require_strace() -> None:
    """Skip where processes cannot be traced."""
    found = shutil.which("strace")
    if found is None or subprocess.run([found, "-o", os.devnull, "true"], capture_output=True).returncode:
        pytest.skip("strace is not there or may not trace")


@dataclass(frozen=True)
class Call:
    """One system call. `number` counts the process's calls of that name from 1, as strace's `when=` does."""

    name: str
    arguments: str
    result: int | None
    number: int

    @property
    def path(self) -> str:
        """What it worked on: the file behind the descriptor, or the (last) path that it names."""
        descriptor = _DESCRIPTOR.match(self.arguments)
        quoted = _QUOTED.findall(self.arguments)
        if self.name.startswith("unlinkat") or (self.name in ("openat", "mkdirat") and quoted):
            folder = re.match(r"(?:AT_FDCWD|\d+)<([^>]*)>", self.arguments)
            return os.path.join(folder[1] if folder else "", quoted[0])
        if descriptor is not None and self.name not in ("renameat", "renameat2"):
            return descriptor[1]
        return quoted[-1] if quoted else ""

    @property
    def source(self) -> str:
        """Of a rename: the old name."""
        return _QUOTED.findall(self.arguments)[0]

    @property
    def changes(self) -> bool:
        """Whether it changes something, or makes it durable, rather than only opening it."""
        return self.name != "openat" or "O_CREAT" in self.arguments

    def __str__(self) -> str:
        return f"{self.name} no. {self.number} of {self.path}"


def trace(
    log: Path, module: str, *arguments: str, inject: Sequence[str] = (), only: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a module under strace. `inject` are strace's expressions; `only` restricts them to calls on one path."""
    command = ["strace", "-f", "-y", "-s", "256", "-o", str(log), "-e", f"trace={CHANGES}"]
    for expression in inject:
        command += ["-e", f"inject={expression}"]
    if only is not None:
        command += ["-P", str(only)]
    return subprocess.run(
        [*command, sys.executable, "-m", module, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )


def calls(log: Path) -> list[Call]:
    """The calls in strace's log, of a module that is one process."""
    counts: Counter[str] = Counter()
    found = []
    for line in log.read_text(errors="replace").splitlines():
        match = _LINE.match(line)
        if match is None:
            continue
        counts[match["name"]] += 1
        result = None if match["result"] == "?" else int(match["result"])
        found.append(Call(match["name"], match["arguments"], result, counts[match["name"]]))
    return found

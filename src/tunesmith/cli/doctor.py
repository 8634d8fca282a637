"""`tunesmith doctor`: what this machine can train, and what is missing."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunesmith import __version__
from tunesmith.jobs import lease
from tunesmith.jobs.disk import free_bytes, use_of
from tunesmith.jobs.paths import Store
from tunesmith.jobs.process import INSTALL_EXTRA
from tunesmith.tools.locations import allowed_roots
from tunesmith.tools.wording import size

_EXTRA = (
    "torch",
    "transformers",
    "peft",
    "trl",
    "datasets",
    "accelerate",
    "msgspec",
    "chardet",
    "rensa",
    "ftfy",
    "py3langid",
    "huggingface_hub",
    "pyarrow",
    "matplotlib",
)
_QLORA = ("bitsandbytes",)
_LITTLE_DISK_BYTES = 2_000_000_000
# Asked in another process: torch is heavy, and a broken driver may take its process down.
_ACCELERATOR = """
import torch
if torch.cuda.is_available():
    for index in range(torch.cuda.device_count()):
        found = torch.cuda.get_device_properties(index)
        print(f"{found.name}, {found.total_memory / 1e9:.0f} GB, bf16 {torch.cuda.is_bf16_supported()}")
elif torch.backends.mps.is_available():
    print("Apple GPU (mps)")
"""


@dataclass(frozen=True)
class Line:
    """One thing looked at."""

    good: bool
    text: str


def print_diagnosis() -> int:
    """Print what was found; 1 when something that training needs is missing."""
    lines = [_python(), *_libraries(), *_accelerator(), _memory(), *_store(), _hub()]
    for line in lines:
        print(f"{'ok     ' if line.good else 'MISSING'} {line.text}")
    trains = all(line.good for line in lines)
    print("This machine can train." if trains else "Training needs what is marked MISSING.")
    return 0 if trains else 1


def _python() -> Line:
    return Line(True, f"tunesmith {__version__}, Python {platform.python_version()}, {platform.platform()}")


def _libraries() -> list[Line]:
    found = {name: _version(name) for name in (*_EXTRA, *_QLORA)}
    missing = [name for name in _EXTRA if found[name] is None]
    if missing:
        return [Line(False, f"training stack: {', '.join(missing)} not installed. {INSTALL_EXTRA}")]
    absent = [name for name in _QLORA if found[name] is None]
    return [
        Line(True, f"full, lora, prompt_tuning, prefix_tuning: {_listed(found, _EXTRA)}"),
        Line(False, f"qlora: {', '.join(absent)} not installed. {INSTALL_EXTRA}")
        if absent
        else Line(True, f"qlora: {_listed(found, _QLORA)}"),
    ]


def _version(name: str) -> str | None:
    if importlib.util.find_spec(name) is None:
        return None
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None  # only a folder of that name, say the user's own datasets/


def _listed(versions: Mapping[str, str | None], names: Sequence[str]) -> str:
    return ", ".join(f"{name} {versions[name]}" for name in names)


def _accelerator() -> list[Line]:
    if importlib.util.find_spec("torch") is None:
        return []
    try:
        answer = subprocess.run(
            [sys.executable, "-P", "-c", _ACCELERATOR],
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return [Line(False, "accelerator: torch did not answer within 120 s")]
    if answer.returncode != 0:
        return [Line(False, f"accelerator: torch cannot be imported (status {answer.returncode})")]
    found = [name for name in answer.stdout.splitlines() if name]
    if not found:
        return [Line(True, f"no accelerator: trains on {os.cpu_count()} CPU cores; choose small models")]
    return [Line(True, f"accelerator: {name}") for name in found]


def _memory() -> Line:
    total_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Line(True, f"memory: {size(total_bytes)}")


def _store() -> list[Line]:
    store = Store.default()
    try:
        # The store is made by its first use; until then it is its parent that has to be writable.
        there = next(folder for folder in (store.root, *store.root.parents) if folder.exists())
        with tempfile.TemporaryFile(dir=there):
            pass
        free = free_bytes(store)
    except OSError as error:
        return [Line(False, f"store {store.root} cannot be written ({os.strerror(error.errno or 0)})")]
    serving = lease.holder(store.host_lease)
    return [
        Line(
            free > _LITTLE_DISK_BYTES,
            f"store {store.root}: {size(free)} free, {size(use_of([store.root]).taken_bytes)} used by it (tunesmith "
            "runs --disk, tunesmith runs prune)",
        ),
        Line(
            True,
            f"background host: {'pid ' + str(serving) if serving else 'not running; it starts by itself'}",
        ),
        Line(True, f"local files are read below: {', '.join(str(root) for root in allowed_roots())}"),
    ]


def _hub() -> Line:
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    return Line(True, f"Hub: {endpoint}, HF_TOKEN {'is set' if os.environ.get('HF_TOKEN') else 'is not set'}")

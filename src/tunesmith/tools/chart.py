"""A run's curves as a picture, drawn by a process of its own and kept for whoever asks again."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import dataclass

import anyio
from anyio import to_thread

from tunesmith.jobs.curves import Curves
from tunesmith.jobs.derived import read_derived
from tunesmith.jobs.files import read_document
from tunesmith.jobs.process import INSTALL_EXTRA
from tunesmith.jobs.snapshot import Snapshot
from tunesmith.schemas.enums import Work
from tunesmith.schemas.handles import work_of
from tunesmith.schemas.plans import Plan
from tunesmith.schemas.runs import Finding

DRAWN_S = 8.0
"""How long a call waits for its picture: one or two seconds are usual, and more only where fonts are read first."""
_LONGEST_TITLE = 90
_KEPT_VARIABLES = (
    "PATH",
    "HOME",
    "LANG",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "TMPDIR",
    "MPLCONFIGDIR",
    "XDG_CACHE_HOME",
)


@dataclass
class NoChart(Exception):
    """Why there is no picture, and what to do."""

    why: str
    recovery: str

    def as_finding(self) -> Finding:
        """It is no error: everything else that was asked for is told."""
        return Finding(code="no_chart", severity="info", message=self.why, recovery=self.recovery)


async def chart_of(snapshot: Snapshot) -> bytes:
    """The picture (PNG) of a run as it was seen.

    Raises:
        NoChart: there is nothing to draw, nothing to draw with, or it takes long.
    """
    if work_of(snapshot.handle) is not Work.TRAIN:
        raise NoChart("Only a run has curves to draw.", "Ask without chart.")
    curves = Curves.of(snapshot.ledger)
    if not curves.losses:
        recovery = "Ask again once it has." if snapshot.state.is_active else "Ask without chart."
        raise NoChart("There is nothing to draw: the run has not told a step.", recovery)
    figures = json.dumps(curves.as_json()).encode()
    title = _title(snapshot)
    form = f"chart 1 {title} {hashlib.sha256(figures).hexdigest()}"
    kept = read_derived(snapshot.paths.chart, form)
    if kept is None:
        await to_thread.run_sync(_require_library)
        with anyio.move_on_after(DRAWN_S):
            await _draw(snapshot, form, title, figures)
        kept = read_derived(snapshot.paths.chart, form)
    if kept is None:
        raise NoChart("The picture could not be drawn in time.", "Ask again; it may be there by then.")
    return base64.b64decode(kept)


def _title(snapshot: Snapshot) -> str:
    plan = read_document(snapshot.paths.plan, Plan)
    parts = [snapshot.handle, *([plan.config.in_words] if plan else []), snapshot.state.value]
    return " · ".join(parts)[:_LONGEST_TITLE]


def _require_library() -> None:
    if importlib.util.find_spec("matplotlib") is None:
        raise NoChart("No picture can be drawn: matplotlib is not installed.", INSTALL_EXTRA)


async def _draw(snapshot: Snapshot, form: str, title: str, figures: bytes) -> None:
    """Have the picture drawn. Whoever stops waiting leaves the process to itself: it soon ends, its picture kept."""
    command = [sys.executable, "-P", "-m", "tunesmith.worker.drawing", str(snapshot.paths.chart), form, title]
    environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    process = await to_thread.run_sync(_start, command, environment, figures)
    while process.poll() is None:
        await anyio.sleep(0.02)


def _start(command: list[str], environment: dict[str, str], figures: bytes) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdin is not None
    try:
        process.stdin.write(figures)
        process.stdin.close()
    except BrokenPipeError:
        pass  # it ended before it read them: there will be no picture
    return process

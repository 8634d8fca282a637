"""`tunesmith report`: a run as one page, in a file."""

from __future__ import annotations

import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path

from tunesmith.cli.observation import open_workspace
from tunesmith.reports.facts import Facts, gather
from tunesmith.reports.page import page
from tunesmith.schemas.errors import TunesmithError
from tunesmith.schemas.handles import require_handle
from tunesmith.tools.wording import figure, size
from tunesmith.tools.workspace import Workspace

_COLUMNS = 80


def write_report(handle: str, output: str | None) -> int:
    """Write the page, to RUN.html in the current folder by default; 2 when there is no such run or no room for it."""
    file = Path(output or ".").expanduser()
    if file.is_dir():
        file = file / f"{handle}.html"
    try:
        require_handle(handle, "run", "run")
        facts = write_page(open_workspace(), handle, file)
    except TunesmithError as error:
        print(error, file=sys.stderr)
        return 2
    except OSError as error:
        print(f"The report could not be written to {file}: {error.strerror}.", file=sys.stderr)
        return 2
    for line in _lines(facts):
        print(textwrap.fill(line, _COLUMNS, subsequent_indent="  ", break_on_hyphens=False))
    print(f"Report: {file.resolve()}")
    print(f"({size(file.stat().st_size)}; open it in a browser, it needs no network)")
    return 0


def write_page(workspace: Workspace, handle: str, file: Path) -> Facts:
    """Write the page of a run; returns what it tells.

    Raises:
        UnknownHandle: this store has no such run.
        OSError: the file could not be written.
    """
    facts = gather(workspace, handle)
    file.write_text(page(facts, datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")), encoding="utf-8")
    return facts


def _lines(facts: Facts) -> list[str]:
    status = facts.status
    step = f", step {status.step} of {status.total_steps}" if status.step is not None else ""
    what = f": {facts.plan.config.in_words}" if facts.plan is not None else ""
    lines = [f"{status.run_id} {status.state.value}{what}{step}"]
    if facts.curves.held_out:
        now = facts.curves.held_out[-1][1]
        lines.append(f"Held-out loss {figure(facts.curves.base_loss)} before, {figure(now)} now.")
    verdict = facts.verdict
    if verdict is not None and verdict.evaluation.comparison is not None:
        found = verdict.evaluation
        words = verdict.evaluation.comparison.verdict.replace("_", " ")
        lines.append(f"Verdict on {found.rows} {found.half.value} rows: {words}.")
    lines += [f"{found.severity} {found.code}: {found.message}" for found in status.findings]
    return lines

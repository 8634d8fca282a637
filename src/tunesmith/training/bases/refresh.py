"""`python -m tunesmith.training.bases.refresh [ID ...]` writes the table anew from what the Hub says today.

It looks at every model of the table and at those named, with HF_ENDPOINT and HF_TOKEN. A gated model whose config.json
this token may not read keeps its shape. A line whose parameter count its shape does not explain never gets in.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from huggingface_hub import constants
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import httpx

from tunesmith.jobs import clock
from tunesmith.training.bases.candidate import Candidate
from tunesmith.training.bases.hub import look_up
from tunesmith.training.bases.table import TABLE, Entry, Table, entry_of, read_table, write_table


def refreshed(
    table: Table, more: Iterable[str], look: Callable[[str], Candidate | str], *, date: str, source: str
) -> tuple[Table, list[str]]:
    """The table as the Hub has it, and a remark for each line that came, went, changed or could not be looked at.

    `look` answers as `look_up` does.
    """
    old = {entry.id: entry for entry in table.models}
    models, remarks = [], []
    for repo_id in dict.fromkeys([*old, *more]):
        entry, remark = _line(repo_id, old.get(repo_id), look)
        models += [] if entry is None else [entry]
        remarks += [] if remark is None else [f"{repo_id}: {remark}"]
    return Table(date=date, source=source, models=models), remarks


def _line(
    repo_id: str, old: Entry | None, look: Callable[[str], Candidate | str]
) -> tuple[Entry | None, str | None]:
    try:
        seen = look(repo_id)
    except HfHubHTTPError as error:
        return old, f"left as it was, the Hub answered {error.response.status_code}"
    if isinstance(seen, str):
        return None, f"left out: {seen}"
    if seen.shape is None and old is not None:
        was = old.candidate
        seen = replace(seen, parameters=was.parameters, context=was.context, shape=was.shape)
    entry = entry_of(replace(seen, family=seen.family if old is None else old.family))
    if entry is None:
        return None, "left out: its shape, or what it reads, is not known"
    return entry, None if entry == old else "changed" if old else "new"


def main(arguments: Sequence[str], path: Path = TABLE) -> int:
    """Write the table and the remarks; 1 when the Hub cannot be reached."""
    source = f"{constants.ENDPOINT}: model information and config.json"
    try:
        table, remarks = refreshed(
            read_table(path), arguments, look_up, date=clock.timestamp()[:10], source=source
        )
    except (httpx.HTTPError, OSError) as error:
        sys.stderr.write(
            f"{constants.ENDPOINT} cannot be reached ({type(error).__name__}); nothing was written.\n"
        )
        return 1
    write_table(table, path)
    sys.stdout.write("\n".join([*remarks, f"{len(table.models)} models written."]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Who preferred which answer: an append-only record beside a comparison's answers, one JSON object a line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from tunesmith.jobs.files import append_lines
from tunesmith.schemas.comparisons import Vote


def record_votes(path: Path, votes: Sequence[Vote]) -> None:
    """Put votes on record, durably.

    Raises:
        DiskFull, StorageFailed: they are not on record.
    """
    append_lines(path, [vote.model_dump_json() for vote in votes])


def read_votes(path: Path) -> list[Vote]:
    """The votes on record, oldest first; lines that were left torn are passed over."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    votes = []
    for line in filter(None, lines):
        try:
            votes.append(Vote.model_validate_json(line))
        except ValidationError:
            continue
    return votes

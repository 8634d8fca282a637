"""Pushing a finished run to the Hub."""

from __future__ import annotations

from tunesmith.schemas.base import Document, NextCall
from tunesmith.schemas.enums import RunState


class PushRequest(Document):
    """What goes where. There is no token here: job processes read it from their environment."""

    run_id: str
    repo_id: str
    private: bool
    dry_run: bool
    revision: str | None
    message: str | None


class PushedFile(Document):
    """One file of a push."""

    path: str
    size_bytes: int
    sha256: str


class Push(Document):
    """A finished push, or with `dry_run` what it would do."""

    url: str
    commit: str | None
    private: bool
    dry_run: bool
    files: list[PushedFile]


class PushToHubResult(Document):
    """While `state` is not succeeded there is no url: ask get_status with the push_id."""

    push_id: str
    state: RunState
    url: str | None = None
    private: bool | None = None
    files: list[PushedFile] | None = None
    commit: str | None = None
    next: list[NextCall]

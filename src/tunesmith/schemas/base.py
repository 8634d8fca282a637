"""What every stored document and every tool result has in common."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 1
"""Raised when a stored document changes its meaning; a newer one is reported as unreadable, never guessed at."""


class Document(BaseModel):
    """An immutable value that is stored or sent as JSON. Unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class NextCall(Document):
    """A call that makes sense now, with its arguments filled in."""

    tool: str
    arguments: dict[str, Any]
    why: str

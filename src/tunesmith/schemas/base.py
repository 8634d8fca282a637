"""What every stored document and every tool result has in common."""

from __future__ import annotations

from typing import Any, Self

from pydantic import BaseModel, ConfigDict, PrivateAttr

SCHEMA_VERSION = 1
"""Raised when a stored document changes its meaning; a newer one is reported as unreadable, never guessed at."""


class Document(BaseModel):
    """An immutable value that is stored or sent as JSON. Unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Pictured(Document):
    """A result that may carry a picture, which goes beside its JSON and is no part of it."""

    _png: bytes | None = PrivateAttr(default=None)

    @property
    def png(self) -> bytes | None:
        return self._png

    def with_png(self, png: bytes) -> Self:
        """The same with a picture."""
        pictured = self.model_copy()
        pictured._png = png
        return pictured


class NextCall(Document):
    """A call that makes sense now, with its arguments filled in."""

    tool: str
    arguments: dict[str, Any]
    why: str

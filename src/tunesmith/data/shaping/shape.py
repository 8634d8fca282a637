"""What all shapes of rows have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from tunesmith.data.rows import Row
from tunesmith.schemas.enums import DataFormat


class Shape(Protocol):
    """A way to read rows whose columns play certain roles.

    `columns` maps roles to columns (`a.b` is the key b of the objects in column a); `learned` is the role of
    the answer. `template` is what was put around the prompt, if a caller has to know it to write one.
    """

    @property
    def name(self) -> str: ...
    @property
    def format(self) -> DataFormat: ...
    @property
    def columns(self) -> Mapping[str, str]: ...
    @property
    def template(self) -> str | None: ...
    @property
    def learned(self) -> str: ...

    def read(
        self,
        number: int,
        values: Mapping[str, Any],
        extras: dict[str, str],
        notes: list[str],
        as_messages: bool,
    ) -> tuple[str, Row]:
        """The row, and the name of the form it was found in. `notes` receives what is odd about it.

        Raises:
            Unfit: it cannot be trained on.
        """
        ...

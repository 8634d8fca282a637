"""How far the reading of a part is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Meter:
    """Set by the reader: the share of the part that has been read, 0 to 1, and the row numbers it has used."""

    share: float = 0.0
    numbers: int = 0

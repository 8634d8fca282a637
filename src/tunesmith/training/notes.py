"""What is said about a plan while it is made."""

from __future__ import annotations

from dataclasses import dataclass, field

AS_ASKED = "as you asked"


@dataclass
class Notes:
    """`reasons` by the name of the number they explain; `warnings` in the order in which they came up."""

    reasons: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

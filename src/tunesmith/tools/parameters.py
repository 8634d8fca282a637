"""Parameter types that several tools share, described once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

DatasetId = Annotated[str, Field(description="ds-… handle")]
GoldenSetId = Annotated[str, Field(description="gold-… handle")]
PlanId = Annotated[str, Field(description="plan-… handle from configure_lora")]
RunId = Annotated[str, Field(description="run-… handle from start_training")]
Model = Annotated[
    str, Field(description="run-… handle, Hub id, local folder, or demo", min_length=1, max_length=1024)
]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]

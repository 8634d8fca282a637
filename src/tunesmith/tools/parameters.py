"""Parameters that several tools share, described and checked once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, WithJsonSchema

from tunesmith.schemas.errors import InvalidArgument

_MAX_PROMPT_CHARACTERS = 16_000

DatasetId = Annotated[str, Field(description="ds-… handle")]
GoldenSetId = Annotated[str, Field(description="gold-… handle")]
PlanId = Annotated[str, Field(description="plan-… handle from configure_lora")]
RunId = Annotated[str, Field(description="run-… handle from start_training")]
Model = Annotated[
    str, Field(description="run-… handle, Hub id, local folder, or demo", min_length=1, max_length=1024)
]
OtherModel = Annotated[
    str, Field(min_length=1, max_length=1024), WithJsonSchema({"type": "string"})
]  # described once a tool
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]


def require_prompt_lengths(prompts: Sequence[str]) -> None:
    """See to it that no prompt is longer than any that makes sense.

    Raises:
        InvalidArgument: one is.
    """
    too_long = [index for index, prompt in enumerate(prompts) if len(prompt) > _MAX_PROMPT_CHARACTERS]
    if too_long:
        raise InvalidArgument(
            f"prompts[{too_long[0]}] has more than {_MAX_PROMPT_CHARACTERS:,} characters.", "Shorten it."
        )

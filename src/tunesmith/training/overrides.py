"""The caller's own numbers beside the base model and the data: each is honoured or refused."""

from __future__ import annotations

from tunesmith.schemas.errors import InvalidArgument
from tunesmith.schemas.overrides import SHORTEST_ROW
from tunesmith.schemas.plans import ConfigureRequest


def check_against_base(
    request: ConfigureRequest, *, context: int, virtual_tokens: int, rows: int | None = None
) -> None:
    """Look at the request beside the base model, and where they are known beside the usable rows.

    Raises:
        InvalidArgument: rows longer than the model's context, virtual tokens that leave no room in it, or a step
            of more rows than there are.
    """
    room = context - virtual_tokens
    if room < SHORTEST_ROW:
        raise InvalidArgument(
            f"num_virtual_tokens comes to {virtual_tokens}, but {request.base_model} reads at most {context} tokens.",
            f"Use a num_virtual_tokens of at most {max(1, context // 2)}.",
        )
    if request.max_length is not None and request.max_length > room:
        taken = f" ({virtual_tokens} of them for the virtual tokens)" if virtual_tokens else ""
        raise InvalidArgument(
            f"max_length is {request.max_length}, but {request.base_model} reads at most {context} tokens{taken}.",
            f"Use a max_length of at most {room}, or leave it out.",
        )
    if rows is not None and request.batch_size is not None and request.batch_size > rows:
        raise InvalidArgument(
            f"batch_size is {request.batch_size}, but only {rows} training rows can be used.",
            f"Use a batch_size of at most {rows}, or leave it out.",
        )

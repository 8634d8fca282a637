"""From a source row to a stored row: pure, and each row that cannot be used says why."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from string import Formatter
from typing import Any

from tunesmith.data.formats import Layout
from tunesmith.data.readers import SourceRow
from tunesmith.data.rows import Message, Row
from tunesmith.data.templates import instruction_prompt
from tunesmith.schemas.enums import DataFormat

EXTRA_CHARACTERS = 200

_ROLE_OF_SPELLING = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
}


class Unfit(Exception):
    """A source row that cannot be used; `reason` is the name it is counted under."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def convert(source_row: SourceRow, layout: Layout) -> Row:
    """The stored form of a source row.

    Raises:
        Unfit: for one of the reasons in `quality.CHECK_OF_REASON`.
    """
    if source_row.problem is not None:
        raise Unfit(source_row.problem)
    values = source_row.values
    extras = _extras(values, layout)
    if layout.format is DataFormat.CHAT:
        return Row(
            source_row.number, messages=_messages(values.get(layout.columns["messages"])), extras=extras
        )
    prompt, completion = _prompt_and_completion(values, layout)
    return Row(source_row.number, prompt, completion, extras=extras)


def text_of(value: Any) -> str:
    """A value as text: strings as they are, numbers and booleans as in JSON, dates as in ISO 8601.

    Raises:
        Unfit: missing_field, empty, not_text or invalid_text.
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        raise Unfit("missing_field")
    if isinstance(value, str):
        text = value
    elif isinstance(value, bool | int | float):
        text = json.dumps(value)
    elif isinstance(value, Decimal):
        text = str(value)
    elif isinstance(value, date | datetime | time):
        text = value.isoformat()
    else:
        raise Unfit("not_text")
    if not text.strip():
        raise Unfit("empty")
    if "\0" in text or not _is_unicode(text):
        raise Unfit("invalid_text")
    return text


def _prompt_and_completion(values: Mapping[str, Any], layout: Layout) -> tuple[str, str]:
    roles = layout.columns
    if layout.template is not None:
        cells = {name: _optional(values.get(column)) for name, column in layout.placeholders.items()}
        if not any(cells.values()):
            raise Unfit("empty")
        answer = roles.get("response") or roles["completion"]
        return _filled(layout.template, cells), text_of(values.get(answer))
    if layout.format is DataFormat.INSTRUCTION:
        instruction = text_of(values.get(roles["instruction"]))
        given = _optional(values.get(roles["input"])) if "input" in roles else ""
        return instruction_prompt(instruction, given), text_of(values.get(roles["response"]))
    if "text" in roles:
        return "", text_of(values.get(roles["text"]))
    return text_of(values.get(roles["prompt"])), text_of(values.get(roles["completion"]))


def _filled(template: str, cells: Mapping[str, str]) -> str:
    # Not str.format: it would read a column called "a.b" as an attribute.
    return "".join(
        literal + (cells[name] if name is not None else "")
        for literal, name, _, _ in Formatter().parse(template)
    )


def _optional(value: Any) -> str:
    try:
        return text_of(value)
    except Unfit as unfit:
        if unfit.reason in ("missing_field", "empty"):
            return ""
        raise


def _messages(value: Any) -> tuple[Message, ...]:
    if value is None:
        raise Unfit("missing_field")
    if not isinstance(value, list):
        raise Unfit("wrong_shape")
    turns = [_message(turn) for turn in value]
    messages = tuple(turn for turn in turns if turn is not None)
    if not messages:
        raise Unfit("empty")
    roles = [message.role for message in messages]
    if "user" not in roles or "assistant" not in roles[roles.index("user") :]:
        raise Unfit("no_reply")
    return messages


def _message(turn: Any) -> Message | None:
    """One turn, or None for an empty system message, which says nothing."""
    if not isinstance(turn, dict):
        raise Unfit("wrong_shape")
    role_key, content_key = ("role", "content") if "role" in turn else ("from", "value")
    if not isinstance(turn.get(role_key), str):
        raise Unfit("wrong_shape")
    role = _ROLE_OF_SPELLING.get(turn[role_key].strip().casefold())
    if role is None:
        raise Unfit("unsupported_role")
    content = _optional(turn.get(content_key)) if role == "system" else text_of(turn.get(content_key))
    return Message(role, content) if content else None


def _extras(values: Mapping[str, Any], layout: Layout) -> dict[str, str]:
    used = set(layout.columns.values())
    extras: dict[str, str] = {}
    for column, value in values.items():
        if column in used or not isinstance(value, str | bool | int | float | Decimal | date | time):
            continue
        text = value if isinstance(value, str) else _optional(value)
        extras[_storable(column)] = _storable(text[:EXTRA_CHARACTERS])
    return extras


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

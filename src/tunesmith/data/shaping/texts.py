"""Values as text. What cannot be text says why; what is only odd is remarked on."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from tunesmith.data.reading.source_row import JsonNumber

EXTRA_CHARACTERS = 200
NUMBERS = (bool, int, float, Decimal, JsonNumber)
SCALARS = (str, bool, int, float, Decimal, date, time)

_CONTROL_TOKEN = re.compile(
    r"<\|\w{1,40}\|>"  # ChatML, GPT-2, Llama 3, Phi, Zephyr
    r"|<\uff5c[^\uff5c<>]{1,40}\uff5c>"  # DeepSeek
    r"|\[/?INST\]|<</?SYS>>"  # Llama 2, Mistral
    r"|<(?:start|end)_of_turn>|<(?:bos|eos|pad)>|\[(?:BOS|EOS|CLS|SEP|PAD)\]"
)
_SURROGATES = re.compile("[\ud800-\udfff]")
_DAMAGED = "\ufffd"
_ASSISTANT_PREFIX = re.compile(r"\s*(?:#{1,3} ?(?:Response|Assistant)|Assistant|ASSISTANT|AI|Bot|GPT)\s*:")
_USER_PREFIX = re.compile(r"\s*(?:#{1,3} ?(?:Instruction|Human|User)|User|USER|Human|HUMAN)\s*:")
_SYSTEM_PREFIX = re.compile(r"\s*(?:#{1,3} ?System|System|SYSTEM)\s*:")
_PREFIX_OF_ROLE = {"assistant": _ASSISTANT_PREFIX, "user": _USER_PREFIX, "system": _SYSTEM_PREFIX}
PREFIX_STARTS = frozenset("#ABGHUS \t\n")
"""What a text begins with where one of these can match: quick to rule out."""


class Unfit(Exception):
    """A source row that cannot be trained on; `reason` is the kind it is counted under."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def text_of(value: Any, notes: list[str], remark_type: bool = True) -> str:
    """A value as text: strings as they are, numbers and booleans as in JSON, dates as in ISO 8601.

    What is odd goes into `notes`: wrong_type (unless `remark_type` is False, for columns of numbers),
    lone_surrogate (each becomes U+FFFD, because no file could hold it), control_tokens (they stay).

    Raises:
        Unfit: missing_field, empty, not_text or invalid_text.
    """
    if type(value) is str:
        text = value
    else:
        text = _spelled(value)
        if remark_type and isinstance(value, NUMBERS):
            notes.append("wrong_type")
    if not text or text.isspace():
        raise Unfit("empty")
    if "\0" in text:
        raise Unfit("invalid_text")
    if not text.isascii() and _SURROGATES.search(text):
        text = _SURROGATES.sub(_DAMAGED, text)
        notes.append("lone_surrogate")
    if ("<" in text or "[" in text) and spells_control_tokens(text):
        notes.append("control_tokens")
    return text


def optional_text(value: Any, notes: list[str]) -> str:
    """The same, but "" for nothing: null, no such column, white space.

    Raises:
        Unfit: not_text or invalid_text.
    """
    if value is None or value == "":
        return ""
    try:
        return text_of(value, notes)
    except Unfit as unfit:
        if unfit.reason in ("missing_field", "empty"):
            return ""
        raise


def is_blank(value: Any) -> bool:
    """Null, NaN, white space, or an empty list or object."""
    if isinstance(value, str):
        return not value or value.isspace()
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or (isinstance(value, list | dict | tuple) and not value)


def storable(text: str) -> str:
    """Text that can be stored as UTF-8."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def scalar_text(value: Any) -> str | None:
    """A scalar of a column that plays no part, as text; None for everything else."""
    if isinstance(value, str):
        return str(value)
    if not isinstance(value, SCALARS):
        return None
    try:
        return _spelled(value)
    except Unfit:
        return ""


def extras_of(values: Mapping[str, Any], columns: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The scalars in columns that play no part, as short texts, under the names given with the columns."""
    extras = {}
    for column, name in columns:
        value = values[column]
        kind = type(value)
        text = value if kind is str else str(value) if kind is int else scalar_text(value)
        if text is not None:
            text = text[:EXTRA_CHARACTERS]
            extras[name] = text if text.isascii() else storable(text)
    return extras


def spells_control_tokens(text: str) -> bool:
    """Whether a model's special tokens are spelled out in it.

    `<s>` and `</s>` count where they are not the two ends of HTML's strike-through.
    """
    if _CONTROL_TOKEN.search(text):
        return True
    return "</s>" in text and (text.count("</s>") > text.count("<s>") or text.lstrip().startswith("<s>"))


def begins_with_role(text: str, role: str) -> bool:
    """Whether a turn repeats its own speaker, as in "User: hello"."""
    if text[:1] not in PREFIX_STARTS:
        return False
    pattern = _PREFIX_OF_ROLE.get(role)
    return pattern is not None and pattern.match(text) is not None


def json_text(value: Any) -> str:
    """A value of a source row as JSON: numbers keep their spelling, other values become text."""
    return json.dumps(_plain(value), ensure_ascii=False, default=str)


def _plain(value: Any) -> Any:
    if isinstance(value, JsonNumber):
        return float(value)
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {storable(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _spelled(value: Any) -> str:
    """Raises Unfit: missing_field for null and NaN, not_text for what holds other values."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        raise Unfit("missing_field")
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    raise Unfit("not_text")

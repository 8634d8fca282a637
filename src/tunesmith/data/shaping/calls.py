"""Functions that a conversation may call, and the calls in it, in the form that OpenAI's chat API gives them."""

from __future__ import annotations

import json
from typing import Any

from tunesmith.data.shaping.texts import Unfit, is_blank, json_text


def tools_text(value: Any) -> str:
    """The JSON array of tool definitions, "" where there are none (or something else than tools is there)."""
    if isinstance(value, str):
        value = parsed(value)
    if isinstance(value, dict):
        value = [value]
    if is_blank(value) or not isinstance(value, list):
        return ""
    tools = [_tool(item) for item in value]
    return "" if None in tools else json_text(tools)


def calls_text(value: Any) -> str:
    """The JSON array of an assistant's calls; the arguments of each are JSON text.

    `value` is a call or a list of calls: with or without {"function": ...} around it, arguments as an object
    or as JSON text, or all of it as JSON text.

    Raises:
        Unfit: wrong_shape, a call has no name.
    """
    if isinstance(value, str):
        value = parsed(value)
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list) or not value:
        raise Unfit("wrong_shape")
    return json_text([_call(item) for item in value])


def is_call(text: str) -> bool:
    """Whether a text is nothing but calls."""
    value = parsed(text)
    calls = value if isinstance(value, list) else [value]
    return bool(calls) and all(
        isinstance(call, dict) and isinstance(call.get("name"), str) and "arguments" in call for call in calls
    )


def parsed(text: str) -> Any:
    """The JSON value of a text that is one, else None."""
    if not text.lstrip().startswith(("[", "{")):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _tool(item: Any) -> dict[str, Any] | None:
    if isinstance(item, str):
        item = parsed(item)
    if not isinstance(item, dict):
        return None
    function = item.get("function", item)
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        return None
    return {"type": "function", "function": {key: part for key, part in function.items() if part is not None}}


def _call(item: Any) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise Unfit("wrong_shape")
    function = item.get("function", item)
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise Unfit("wrong_shape")
    arguments = function.get("arguments", function.get("parameters"))
    if not isinstance(arguments, str):
        arguments = json_text({} if arguments is None else arguments)
    call = {"type": "function", "function": {"name": function["name"], "arguments": arguments}}
    return {"id": str(item["id"]), **call} if item.get("id") is not None else call

"""JSON schemas as small and as portable as they can be: each conversation pays for them with its context."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]
_FAR_LENGTH = 1000
_FAR_NUMBER = 2**31


def compact_input(schema: Schema) -> Schema:
    """An input schema without titles and nulls, and with unknown arguments excluded.

    `X | None = None` becomes a plain optional `X`: several hosts cannot read `anyOf` with null. A null that is sent all
    the same is accepted.
    """
    compacted = _compact(schema, schema.get("$defs", {}))
    for field in compacted.get("properties", {}).values():
        if field.get("default", "") is None:
            del field["default"]
    return {**compacted, "additionalProperties": False}


_LONG_ENUM = 6
"""The states of a run are the same in every tool: get_status tells what they are."""


def compact_output(schema: Schema) -> Schema:
    """An output schema that names and types each field, without the inner make-up of objects in it, and without saying
    that handle, state and `next` are always there.

    A field without a value is left out of a result, so that no field needs a null.
    The full schemas are exported files (see tunesmith.schemas.export); clients validate results against this one, and a
    model that reads a result sees the inner fields anyway.
    """
    compacted: Schema = _compact(schema, schema.get("$defs", {}))
    fields = {name: _outline(field) for name, field in compacted["properties"].items()}
    return {"type": "object", "properties": fields}


def _outline(field: Schema) -> Schema:
    outline: Schema = {"type": field["type"]}
    if len(field.get("enum", [])) in range(1, _LONG_ENUM):
        outline["enum"] = field["enum"]
    elif "enum" in field and "description" in field:  # other fields speak for themselves in a result
        outline["description"] = field["description"]
    return outline


def _compact(node: Any, definitions: Schema) -> Any:
    if isinstance(node, list):
        return [_compact(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    node = _resolved(_without_null(node), definitions)
    compacted: Schema = {}
    for key, value in node.items():
        if key == "properties":
            fields = value.items()
            compacted[key] = {name: _compact(field, definitions) for name, field in fields}
        elif key not in ("title", "$defs") and not _is_far_limit(key, value):
            compacted[key] = _compact(value, definitions)
    return compacted


def _is_far_limit(key: str, value: Any) -> bool:
    """A bound that honest calls stay away from by themselves; the server checks it all the same."""
    return (key == "maxLength" and value >= _FAR_LENGTH) or (key == "maximum" and value >= _FAR_NUMBER)


def _resolved(node: Schema, definitions: Schema) -> Schema:
    if "$ref" not in node:
        return node
    target: Schema = definitions[node["$ref"].rpartition("/")[2]]
    if "enum" in target:  # its docstring is about the type, not about this field
        target = {key: value for key, value in target.items() if key != "description"}
    return {**target, **{key: value for key, value in node.items() if key != "$ref"}}


def _without_null(node: Schema) -> Schema:
    if "anyOf" not in node:
        return node
    options = [option for option in node["anyOf"] if option.get("type") != "null"]
    if len(options) != 1:
        return {**node, "anyOf": options}
    return {**options[0], **{key: value for key, value in node.items() if key != "anyOf"}}

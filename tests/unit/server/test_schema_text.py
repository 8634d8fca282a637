"""Schemas as hosts can read them."""

from __future__ import annotations

from pydantic import BaseModel, Field

from tunesmith.server.schema_text import compact_input, compact_output


class Inner(BaseModel):
    """About the inner thing."""

    value: int


class Outer(BaseModel):
    name: str = Field(max_length=200)
    text: str = Field("", max_length=16_000)
    seed: int = Field(0, ge=0, le=2**32 - 1)
    inner: Inner | None = None
    size: int | None = Field(None, ge=1, description="how large")
    values: list[int] = []


def walk(node):
    yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from walk(child)


def test_an_input_schema_has_no_titles_references_or_nulls_and_refuses_the_unknown():
    schema = compact_input(Outer.model_json_schema())
    keys = {key for node in walk(schema) if isinstance(node, dict) for key in node}
    assert not keys & {"title", "$ref", "$defs", "anyOf"}
    assert schema["additionalProperties"] is False
    assert schema["properties"]["size"] == {"type": "integer", "minimum": 1, "description": "how large"}
    assert schema["required"] == ["name"]


def test_a_limit_that_no_honest_call_comes_near_is_not_told():
    fields = compact_input(Outer.model_json_schema())["properties"]
    assert fields["name"] == {"type": "string", "maxLength": 200}
    assert fields["text"] == {"type": "string", "default": ""}
    assert fields["seed"] == {"type": "integer", "default": 0, "minimum": 0}


def test_an_output_schema_names_and_types_each_field_once():
    assert compact_output(Outer.model_json_schema()) == {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "text": {"type": "string"},
            "seed": {"type": "integer"},
            "inner": {"type": "object"},
            "size": {"type": "integer"},
            "values": {"type": "array"},
        },
    }

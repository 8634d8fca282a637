from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pytest

from tunesmith.data.conversion import Unfit, convert
from tunesmith.data.formats import Layout
from tunesmith.data.quality import CHECK_OF_REASON
from tunesmith.data.readers import SourceRow
from tunesmith.data.rows import Message, Row
from tunesmith.data.templates import instruction_prompt
from tunesmith.schemas.enums import DataFormat

INSTRUCTION = Layout(
    DataFormat.INSTRUCTION, {"instruction": "instruction", "input": "input", "response": "output"}
)
PAIR = Layout(DataFormat.COMPLETION, {"prompt": "p", "completion": "c"})
CHAT = Layout(DataFormat.CHAT, {"messages": "messages"})


def converted(layout: Layout, **values: Any) -> Row:
    return convert(SourceRow(1, values), layout)


def reason(layout: Layout, **values: Any) -> str:
    with pytest.raises(Unfit) as raised:
        converted(layout, **values)
    assert raised.value.reason in CHECK_OF_REASON
    return raised.value.reason


def test_an_instruction_is_wrapped_and_a_blank_input_left_out() -> None:
    assert instruction_prompt("Add.") == "### Instruction\nAdd.\n\n### Response\n"
    assert instruction_prompt("Add.", "1 2") == "### Instruction\nAdd.\n\n### Input\n1 2\n\n### Response\n"
    row = converted(INSTRUCTION, instruction="Add.", input=" ", output="3")
    assert (row.prompt, row.completion) == (instruction_prompt("Add."), "3")
    assert converted(INSTRUCTION, instruction="Add.", input="1 2", output="3").prompt == instruction_prompt(
        "Add.", "1 2"
    )
    assert converted(INSTRUCTION, instruction="Add.", input=None, output="3") == row


def test_plain_text_has_an_empty_prompt() -> None:
    row = converted(Layout(DataFormat.COMPLETION, {"text": "t"}), t=" Once upon a time ")
    assert (row.prompt, row.completion) == ("", " Once upon a time ")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("  as it is\n", "  as it is\n"),
        (7, "7"),
        (1.5, "1.5"),
        (True, "true"),
        (Decimal("1.50"), "1.50"),
        (datetime.date(2024, 2, 29), "2024-02-29"),
    ],
)
def test_values_become_text_without_being_altered(value: object, text: str) -> None:
    assert converted(PAIR, p="x", c=value).completion == text


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (None, "missing_field"),
        (float("nan"), "missing_field"),
        ("", "empty"),
        (" \n\t", "empty"),
        (["a"], "not_text"),
        ({"a": 1}, "not_text"),
        (b"bytes", "not_text"),
        ("half \ud83d a pair", "invalid_text"),
        ("nul \0", "invalid_text"),
    ],
)
def test_a_value_that_cannot_be_used_says_why(value: object, why: str) -> None:
    assert reason(PAIR, p="x", c=value) == why
    assert reason(PAIR, p=value, c="x") == why


def test_a_row_without_the_column_lacks_a_field() -> None:
    assert reason(PAIR, p="x") == "missing_field"


def test_a_row_that_could_not_be_read_keeps_its_reason() -> None:
    with pytest.raises(Unfit, match="invalid_json"):
        convert(SourceRow(1, problem="invalid_json"), PAIR)


def test_a_template_writes_the_prompt_from_columns() -> None:
    layout = Layout(
        DataFormat.COMPLETION, {"completion": "sql"}, "{{{a.b}}} {q}?", {"a.b": "a.b", "q": "question"}
    )
    row = converted(layout, **{"a.b": "t(x)", "question": "how many", "sql": "SELECT 1"})
    assert (row.prompt, row.completion) == ("{t(x)} how many?", "SELECT 1")
    assert converted(layout, **{"a.b": None, "question": "q", "sql": "s"}).prompt == "{} q?"
    assert reason(layout, **{"a.b": "", "question": None, "sql": "s"}) == "empty"


def test_openai_and_sharegpt_turns_become_the_same_messages() -> None:
    wanted = (Message("system", "be brief"), Message("user", "hi"), Message("assistant", "hello"))
    openai = [{"role": turn.role, "content": turn.content} for turn in wanted]
    sharegpt = [
        {"from": "system", "value": "be brief"},
        {"from": "human", "value": "hi"},
        {"from": "gpt", "value": "hello"},
    ]
    assert converted(CHAT, messages=openai).messages == wanted
    assert converted(CHAT, messages=sharegpt).messages == wanted


USER, ASSISTANT = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        (None, "missing_field"),
        ([], "empty"),
        ("hello", "wrong_shape"),
        (["hello"], "wrong_shape"),
        ([{"speaker": "a", "text": "b"}], "wrong_shape"),
        ([USER, {"role": "tool", "content": "x"}, ASSISTANT], "unsupported_role"),
        ([USER], "no_reply"),
        ([ASSISTANT], "no_reply"),
        ([ASSISTANT, USER], "no_reply"),
        ([USER, {"role": "assistant", "content": None}], "missing_field"),
        ([USER, {"role": "assistant", "content": " "}], "empty"),
        ([USER, {"role": "assistant", "content": [{"type": "text", "text": "b"}]}], "not_text"),
    ],
)
def test_a_conversation_that_cannot_be_used_says_why(messages: object, why: str) -> None:
    assert reason(CHAT, messages=messages) == why


def test_an_empty_system_message_is_left_out() -> None:
    row = converted(CHAT, messages=[{"role": "system", "content": ""}, USER, ASSISTANT])
    assert [message.role for message in row.messages] == ["user", "assistant"]


def test_other_scalar_columns_are_kept_short_and_storable() -> None:
    row = converted(PAIR, p="x", c="y", topic="t" * 500, n=3, ok=False, none=None, nested=[1], bad="\ud800")
    assert row.extras == {"topic": "t" * 200, "n": "3", "ok": "false", "bad": "?"}

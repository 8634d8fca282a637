"""Columns and templates that a caller names."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.data.shaping.shaped import ASSISTANT, USER, layouts, reason, shaped, turns
from tunesmith.data.shaping.layouts import Layouts
from tunesmith.data.shaping.placeholders import template_names
from tunesmith.data.templates import instruction_prompt
from tunesmith.schemas.enums import DataFormat
from tunesmith.schemas.errors import InvalidArgument, UnmappedColumns


def named(columns: dict[str, str], values: dict[str, Any], **arguments: Any) -> Layouts:
    return layouts(values, named=columns, **arguments)


@pytest.mark.parametrize(
    ("columns", "data_format", "prompt", "completion"),
    [
        ({"instruction": "q", "response": "a"}, "instruction", instruction_prompt("Q"), "A"),
        ({"question": "q", "answer": "a"}, "instruction", instruction_prompt("Q"), "A"),
        ({"question": "q", "context": "c", "answer": "a"}, "instruction", instruction_prompt("Q", "C"), "A"),
        ({"prompt": "q", "response": "a"}, "instruction", instruction_prompt("Q"), "A"),
        ({"prompt": "q", "completion": "a"}, "completion", "Q", "A"),
        ({"input": "q", "output": "a"}, "completion", "Q", "A"),
        ({"text": "a"}, "completion", "", "A"),
        ({"text": "q", "label": "a"}, "completion", "Q\n", "A"),
        ({"text": "q", "category": "a"}, "completion", "Q\n", "A"),
        ({"article": "q", "summary": "a"}, "completion", "Q", "A"),
        ({"prompt": "q", "chosen": "a", "rejected": "c"}, "instruction", instruction_prompt("Q"), "A"),
        ({"instruction": "q", "chosen": "a"}, "instruction", instruction_prompt("Q"), "A"),
    ],
)
def test_named_roles_tell_the_shape(
    columns: dict[str, str], data_format: str, prompt: str, completion: str
) -> None:
    values = {"q": "Q", "a": "A", "c": "C"}
    layout = named(columns, values)
    row = shaped(layout, **values)
    assert (layout.format, row.prompt, row.completion) == (data_format, prompt, completion)
    assert set(columns.values()) <= set(layout.columns.values())


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        ({"messages": "m"}, {"m": [USER, ASSISTANT]}),
        ({"conversations": "m", "system": "s"}, {"m": [USER, ASSISTANT], "s": "Be brief."}),
        (
            {"instruction": "q", "response": "a", "system": "s"},
            {"q": "Who are you?", "a": "A model.", "s": "Be brief."},
        ),
        ({"history": "h"}, {"h": [["Who are you?", "A model."]]}),
        ({"history": "h", "query": "q", "response": "a"}, {"h": [], "q": "Who are you?", "a": "A model."}),
    ],
)  # fmt: skip
def test_named_conversations(columns: dict[str, str], values: dict[str, Any]) -> None:
    row = shaped(named(columns, values), **values)
    assert turns(row)[-2:] == [("user", "Who are you?"), ("assistant", "A model.")]
    assert (turns(row)[0] == ("system", "Be brief.")) == ("s" in values)


def test_named_tools_and_choices() -> None:
    values = {"q": "Who are you?", "a": "A model.", "t": '[{"name": "f"}]', "o": ["No model.", "A model."]}
    with_tools = named({"instruction": "q", "response": "a", "tools": "t"}, values)
    assert '"f"' in shaped(with_tools, **values).tools
    with_choices = named({"question": "q", "answer": "a", "choices": "o"}, values)
    assert shaped(with_choices, **values).completion == "B"


def test_a_column_inside_another_is_named_by_its_path() -> None:
    values = {"translation": {"en": "Hello", "fr": "Bonjour"}, "id": "7"}
    layout = named({"prompt": "translation.en", "completion": "translation.fr"}, values)
    row = shaped(layout, **values)
    assert (row.prompt, row.completion, row.extras) == ("Hello", "Bonjour", {"id": "7"})
    assert reason(layout, translation={"en": "Hello"}, id="7") == "missing_field"


def test_named_columns_come_before_usual_ones() -> None:
    layout = named({"response": "Better answer"}, {"instruction": "i", "output": "o", "Better answer": "b"})
    assert layout.columns == {"instruction": "instruction", "response": "Better answer"}


def test_an_explicit_format_is_not_overruled_by_column_names() -> None:
    layout = layouts({"prompt": "p", "completion": "c"}, wanted=DataFormat.INSTRUCTION)
    assert layout.columns == {"instruction": "prompt", "response": "completion"}


def test_where_prompts_were_asked_for_a_system_prompt_stands_before_them() -> None:
    values = {"system": "Be brief.", "prompt": "p", "completion": "c"}
    for wanted, prompt in ((DataFormat.INSTRUCTION, instruction_prompt("p")), (DataFormat.COMPLETION, "p")):
        layout = layouts(values, wanted=wanted)
        assert (layout.format, shaped(layout, **values).prompt) == (wanted, f"Be brief.\n\n{prompt}")


def test_a_named_column_that_is_not_there_is_told() -> None:
    with pytest.raises(UnmappedColumns, match='no column "nope"'):
        named({"instruction": "nope", "response": "a"}, {"q": "Q", "a": "A"})


@pytest.mark.parametrize(
    "columns", [{"colour": "q"}, {"instruction": "q", "question": "a"}, {"instruction": "q"}]
)
def test_roles_that_make_no_shape_are_told(columns: dict[str, str]) -> None:
    with pytest.raises(UnmappedColumns):
        named(columns, {"q": "Q", "a": "A"})


def test_many_long_columns_make_a_short_message() -> None:
    with pytest.raises(UnmappedColumns) as raised:
        layouts({f"{number}" * 100: "x" for number in range(5_000)})
    assert len(str(raised.value)) < 4_000


@pytest.mark.parametrize("name", ["instruction", "chat", "completion"])
def test_the_three_templates_have_names(name: str) -> None:
    assert layouts({"prompt": "p", "output": "o"}, template=name).format == name


def test_a_template_that_contradicts_the_format_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        layouts({"prompt": "p", "output": "o"}, template="chat", wanted=DataFormat.COMPLETION)


def test_a_template_takes_columns_and_named_roles() -> None:
    values = {"schema": "t(x)", "question": "how many", "sql": "SELECT 1"}
    layout = named(
        {"response": "sql", "instruction": "question"}, values, template="{{{schema}}} {instruction}?"
    )
    row = shaped(layout, **values)
    assert (row.prompt, row.completion) == ("{t(x)} how many?", "SELECT 1")
    assert layout.template == "{{{schema}}} {instruction}?"
    assert shaped(layout, schema=None, question="q", sql="s").prompt == "{} q?"
    assert reason(layout, schema="", question=None, sql="s") == "empty"


def test_a_template_may_end_with_the_answer_but_not_show_it() -> None:
    values = {"question": "q", "answer": "a"}
    layout = layouts(values, template="Q: {question}\nA: {answer}")
    row = shaped(layout, **values)
    assert (row.prompt, row.completion, layout.template) == ("Q: q\nA: ", "a", "Q: {question}\nA: ")
    with pytest.raises(InvalidArgument, match="shows the answer"):
        layouts(values, template="{answer} is the answer to {question}")


def test_a_template_with_an_unknown_column_lists_the_columns() -> None:
    with pytest.raises(UnmappedColumns, match=r'names "nope".*"question", "answer"'):
        layouts({"question": "q", "answer": "a"}, template="{nope}")


@pytest.mark.parametrize("template", ["{a", "a}", "{}", "no placeholder", "{a!r}", "{a:>10}", "{{a}}"])
def test_a_template_that_cannot_be_filled_is_refused(template: str) -> None:
    with pytest.raises(InvalidArgument):
        template_names(template)


def test_a_template_for_chats_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        layouts({"messages": [USER, ASSISTANT]}, wanted=DataFormat.CHAT, template="{messages}")

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.data.formats import Layout, find_layout, template_names
from tunesmith.schemas.enums import DataFormat
from tunesmith.schemas.errors import InvalidArgument, UnmappedColumns

TURNS = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
SHAREGPT = [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]


def find(*columns: str, **arguments: Any) -> Layout:
    return find_layout(columns, arguments.pop("sample", []), "data.jsonl", **arguments)


@pytest.mark.parametrize(
    ("columns", "data_format", "roles"),
    [
        (["instruction", "response"], "instruction", {"instruction": 0, "response": 1}),
        (["instruction", "input", "output"], "instruction", {"instruction": 0, "input": 1, "response": 2}),
        (["id", "Question", "Answer"], "instruction", {"instruction": 1, "response": 2}),
        (["question", "context", "answer"], "instruction", {"instruction": 0, "input": 1, "response": 2}),
        (["prompt", "response"], "instruction", {"instruction": 0, "response": 1}),
        (["prompt", "completion"], "completion", {"prompt": 0, "completion": 1}),
        (["input", "output"], "completion", {"prompt": 0, "completion": 1}),
        (["id", "text"], "completion", {"text": 1}),
    ],
)
def test_formats_are_told_by_their_usual_columns(
    columns: list[str], data_format: str, roles: dict[str, int]
) -> None:
    layout = find(*columns)
    assert layout.format == data_format
    assert layout.columns == {role: columns[position] for role, position in roles.items()}
    assert layout.row_kind == "prompt_completion"


@pytest.mark.parametrize(("column", "value"), [("messages", TURNS), ("conversations", SHAREGPT)])
def test_chats_are_told_by_column_and_shape(column: str, value: object) -> None:
    layout = find("id", column, sample=[{"id": "1"}, {column: value}])
    assert (layout.format, layout.columns, layout.row_kind) == ("chat", {"messages": column}, "messages")


def test_a_messages_column_of_plain_text_is_no_chat() -> None:
    with pytest.raises(UnmappedColumns):
        find("messages", sample=[{"messages": "hello"}])


def test_text_beside_a_label_is_asked_about_instead_of_guessed() -> None:
    with pytest.raises(UnmappedColumns) as raised:
        find("text", "label")
    assert 'columns={"instruction": "text", "response": "label"}' in raised.value.recovery
    assert find("text", "label", wanted=DataFormat.COMPLETION).columns == {"text": "text"}


def test_named_columns_come_before_usual_ones() -> None:
    layout = find("instruction", "output", "Better answer", named={"response": "Better answer"})
    assert layout.columns == {"instruction": "instruction", "response": "Better answer"}


@pytest.mark.parametrize(
    ("named", "data_format"),
    [
        ({"instruction": "q", "response": "a"}, "instruction"),
        ({"question": "q", "answer": "a"}, "instruction"),
        ({"prompt": "q", "completion": "a"}, "completion"),
        ({"input": "q", "output": "a"}, "completion"),
        ({"text": "a"}, "completion"),
        ({"messages": "q"}, "chat"),
    ],
)
def test_named_roles_tell_the_format(named: dict[str, str], data_format: str) -> None:
    layout = find("q", "a", named=named)
    assert layout.format == data_format
    assert list(layout.columns.values()) == list(named.values())


def test_a_column_that_few_rows_have_does_not_win_by_its_name() -> None:
    sample = [{"instruction": "q", "output": "a"}] * 9 + [{"instruction": "q", "response": "a"}]
    layout = find("instruction", "output", "response", sample=sample)
    assert layout.columns == {"instruction": "instruction", "response": "output"}


def test_an_explicit_format_is_not_overruled_by_column_names() -> None:
    layout = find("prompt", "completion", wanted=DataFormat.INSTRUCTION)
    assert layout.columns == {"instruction": "prompt", "response": "completion"}


def test_unmappable_columns_are_listed_with_a_call_that_would_fit() -> None:
    with pytest.raises(UnmappedColumns) as raised:
        find("frage", "antwort")
    assert '"frage", "antwort"' in raised.value.message
    assert raised.value.recovery.startswith("Say which column is which")
    assert (
        'load_dataset(source="data.jsonl", format="instruction", '
        'columns={"instruction": "frage", "response": "antwort"})' in raised.value.recovery
    )


def test_a_named_column_that_is_not_there_is_told() -> None:
    with pytest.raises(UnmappedColumns, match='no column "nope"'):
        find("q", "a", named={"instruction": "nope", "response": "a"})


def test_a_role_that_the_format_does_not_have_is_told() -> None:
    with pytest.raises(UnmappedColumns):
        find("q", "a", named={"chosen": "q", "rejected": "a"})


def test_many_long_columns_make_a_short_message() -> None:
    with pytest.raises(UnmappedColumns) as raised:
        find(*(f"{number}" * 100 for number in range(5_000)))
    assert len(str(raised.value)) < 4_000


def test_a_template_takes_columns_and_named_roles() -> None:
    layout = find(
        "schema",
        "question",
        "sql",
        template="{schema}: {instruction}",
        named={"response": "sql", "instruction": "question"},
    )
    assert layout.columns == {"response": "sql"}
    assert layout.placeholders == {"schema": "schema", "instruction": "question"}


def test_a_template_with_an_unknown_column_lists_the_columns() -> None:
    with pytest.raises(UnmappedColumns, match=r'names "nope".*"question", "answer"'):
        find("question", "answer", template="{nope}")


@pytest.mark.parametrize("template", ["{a", "a}", "{}", "no placeholder", "{a!r}", "{a:>10}", "{{a}}"])
def test_a_template_that_cannot_be_filled_is_refused(template: str) -> None:
    with pytest.raises(InvalidArgument):
        template_names(template)


def test_a_template_for_chats_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        find("messages", sample=[{"messages": TURNS}], wanted=DataFormat.CHAT, template="{messages}")

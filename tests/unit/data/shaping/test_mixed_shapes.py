"""One source may hold several shapes; a row that lacks something is not one of them."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.data.shaping.shaped import ASSISTANT, USER, layouts, reason, shaped, turns
from tunesmith.data.reading.source_row import SourceRow
from tunesmith.data.templates import instruction_prompt
from tunesmith.schemas.errors import UnmappedColumns

ALPACA = {"instruction": "i", "input": "x", "output": "o"}
QUESTION = {"question": "q", "answer": "a"}
CHAT = {"messages": [USER, ASSISTANT]}
PAIR = {"prompt": "p", "completion": "c"}
BETTER = {"prompt": "p", "chosen": "c", "rejected": "r"}
TEXT = {"text": "Once"}
ALL = [ALPACA, ALPACA, QUESTION, CHAT, PAIR, BETTER, TEXT]


def test_each_row_is_read_by_its_own_shape() -> None:
    layout = layouts(*ALL)
    assert shaped(layout, **ALPACA).prompt == instruction_prompt("i", "x")
    assert shaped(layout, **QUESTION).prompt == instruction_prompt("q")
    assert turns(shaped(layout, **CHAT)) == [("user", "Who are you?"), ("assistant", "A model.")]
    assert shaped(layout, **BETTER).rejected == "r"
    assert shaped(layout, **TEXT).completion == "Once"
    assert layout.row_kind == "mixed"
    assert layout.shapes == {
        "instruction": 1, "question_answer": 1, "openai_messages": 1, "preference": 1, "plain_text": 1
    }  # fmt: skip


def test_as_messages_prompts_become_conversations_and_texts_stay() -> None:
    layout = replace(layouts(*ALL), as_messages=True)
    assert turns(shaped(layout, **ALPACA)) == [("user", "i\n\nx"), ("assistant", "o")]
    assert turns(shaped(layout, **PAIR)) == [("user", "p"), ("assistant", "c")]
    assert turns(shaped(layout, **BETTER)) == [("user", "p"), ("assistant", "c")]
    assert shaped(layout, **TEXT).messages == ()
    assert (layout.format, layout.template) == ("chat", None)


def test_other_spellings_of_the_same_two_columns_are_read_alike() -> None:
    names = ["instruction/output", "Instruction/Output", "prompt/response", "question/answer", "input/target"]
    rows = [dict(zip(pair.split("/"), ("i", "o"), strict=True)) for pair in names]
    layout = layouts(*rows)
    for row in rows:
        found = shaped(layout, **row)
        assert (found.prompt, found.completion) == (instruction_prompt("i"), "o")


def test_a_shape_that_the_sample_did_not_have_is_found_when_it_comes() -> None:
    layout = layouts(*[ALPACA] * 20)
    assert turns(shaped(layout, **CHAT))[0][0] == "user"
    assert shaped(layout, **QUESTION).completion == "a"


@pytest.mark.parametrize(
    ("common", "lacking"),
    [
        (ALPACA, {"instruction": "i", "input": "x"}),
        (BETTER, {"prompt": "p", "rejected": "r"}),
        ({"text": "t", "label": "l"}, {"text": "t"}),
        ({"messages": [USER, ASSISTANT], "topic": "t"}, {"topic": "t"}),
        (ALPACA, {"unheard": "of"}),
    ],
)
def test_a_row_that_lacks_a_column_is_no_other_shape(common: dict[str, Any], lacking: dict[str, Any]) -> None:
    assert reason(layouts(*[common] * 30), **lacking) == "missing_field"
    assert reason(layouts(*[common] * 30, lacking), **lacking) == "missing_field"


def test_a_row_that_lacks_an_optional_column_is_sound() -> None:
    row = shaped(layouts(*[ALPACA] * 30), instruction="i", output="o")
    assert (row.prompt, row.notes) == (instruction_prompt("i"), ())


def test_a_column_that_few_rows_have_is_remarked_on() -> None:
    layout = layouts(*[ALPACA] * 99, {**ALPACA, "source_url": "u"})
    assert shaped(layout, **ALPACA, source_url="u").notes == ("extra_field",)
    assert shaped(layout, **ALPACA, never_seen="u").notes == ("extra_field",)
    usual = layouts(*[ALPACA] * 9, {**ALPACA, "topic": "t"})
    assert shaped(usual, **ALPACA, topic="t").notes == ()


def test_a_rare_column_that_plays_a_part_is_no_extra() -> None:
    layout = layouts(*[{"instruction": "i", "output": "o"}] * 99, ALPACA)
    row = shaped(layout, **ALPACA)
    assert (row.prompt, row.notes) == (instruction_prompt("i", "x"), ())


def test_a_table_with_the_columns_of_several_shapes_is_read_by_those_that_are_filled() -> None:
    columns = {"instruction": None, "output": None, "messages": None}
    chat, pair = {**columns, **CHAT}, {**columns, "instruction": "i", "output": "o"}
    layout = layouts(chat, pair, chat, pair)
    assert turns(shaped(layout, **chat))[0][0] == "user"
    assert shaped(layout, **pair).completion == "o"
    assert reason(layout, instruction="i", output=None, messages=None) == "missing_field"


def test_an_empty_answer_is_not_made_up_for_by_a_column_that_is_always_there() -> None:
    row = {**CHAT, "text": "the whole conversation once more"}
    layout = layouts(*[row] * 9)
    assert reason(layout, messages=None, text="the whole conversation once more") == "missing_field"


def test_a_column_that_few_rows_have_does_not_win_by_its_name() -> None:
    usual = {"instruction": "q", "response": None, "output": "a"}
    layout = layouts(*[usual] * 9, {**usual, "response": "b"})
    assert layout.columns == {"instruction": "instruction", "response": "output"}


def test_a_source_that_cannot_be_read_for_the_most_part_is_asked_about() -> None:
    with pytest.raises(UnmappedColumns, match='"frage"'):
        layouts(*[{"frage": "q", "antwort": "a"}] * 3, QUESTION)


def test_layouts_travel_to_other_processes() -> None:
    layout = pickle.loads(pickle.dumps(layouts(*ALL)))
    assert shaped(layout, **QUESTION).completion == "a"


def test_rows_with_columns_of_their_own_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunesmith.data.shaping.layouts.REMEMBERED", 10)
    layout = layouts(*[ALPACA] * 3)
    for number in range(100):
        row = layout.convert(SourceRow(number, {**ALPACA, f"column {number}": 1}))
        assert row.completion == "o"
    assert len(layout._routes) <= 10

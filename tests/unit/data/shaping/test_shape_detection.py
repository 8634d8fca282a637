"""Rows as well-known datasets have them are read into the right roles without a word from anybody."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.data.shaping.shaped import ASSISTANT, USER, alone, layouts, reason, shaped, turns
from tunesmith.data.reading.source_row import JsonNumber
from tunesmith.data.templates import instruction_prompt
from tunesmith.schemas.errors import UnmappedColumns

DIALOGUE = [("user", "Who are you?"), ("assistant", "A model.")]


@pytest.mark.parametrize(
    ("values", "instruction", "given", "response"),
    [
        ({"instruction": "i", "input": "x", "output": "o"}, "i", "x", "o"),
        ({"instruction": "i", "input": "", "output": "o", "text": "Below is ..."}, "i", "", "o"),
        ({"instruction": "i", "context": "x", "response": "o", "category": "qa"}, "i", "x", "o"),
        ({" Instruction ": "i", "INPUT": "x", "Output\n": "o", "": None}, "i", "x", "o"),
        ({"userMessage": "i", "assistantResponse": "o"}, "i", "", "o"),
        ({"question": "i", "answer": "o #### 2"}, "i", "", "o #### 2"),
        ({"query": "i", "response": "o", "type": "MATH"}, "i", "", "o"),
        ({"problem": "i", "solution": "o", "level": "5"}, "i", "", "o"),
        ({"id": "7", "context": "x", "question": "i", "answers": {"text": ["o"], "answer_start": [1]}}, "i", "x", "o"),
        ({"question": "i", "answer": ["o", "another"]}, "i", "", "o"),
        ({"question": "i", "answer": True, "passage": "x"}, "i", "x", "true"),
        ({"question": "i", "context": "CREATE TABLE t", "answer": "SELECT 1"}, "i", "CREATE TABLE t", "SELECT 1"),
        ({"db_id": "d", "query": "SELECT 1", "question": "i"}, "i", "", "SELECT 1"),
        ({"db": "d", "split": "dev", "question": "i", "sql": "SELECT 1"}, "i", "", "SELECT 1"),
        ({"task_id": 1, "text": "i", "code": "o", "test_list": ["assert"]}, "i", "", "o"),
        ({"instruction": "i", "instances": [{"input": "x", "output": "o"}], "is_classification": False}, "i", "x", "o"),
    ],
)  # fmt: skip
def test_instructions_and_questions(
    values: dict[str, Any], instruction: str, given: str, response: str
) -> None:
    row = alone(**values)
    assert (row.prompt, row.completion) == (instruction_prompt(instruction, given), response)
    assert row.notes == ()


@pytest.mark.parametrize(
    "values",
    [
        {"prompt": "p", "completion": "c"},
        {"input": "p", "output": "c"},
        {"task_id": "1", "prompt": "p", "canonical_solution": "c", "test": "t"},
    ],
)
def test_a_prompt_with_its_completion_stays_as_it_is(values: dict[str, Any]) -> None:
    row = alone(**values)
    assert (row.prompt, row.completion) == ("p", "c")


@pytest.mark.parametrize(
    ("values", "prompt", "label"),
    [
        ({"text": "good", "label": 1}, "good\n", "1"),
        ({"text": "good", "label": 1, "label_text": "positive"}, "good\n", "positive"),
        ({"idx": 0, "sentence": "good", "label": JsonNumber("1.0")}, "good\n", "1.0"),
        ({"text": "good", "category": "praise"}, "good\n", "praise"),
        ({"tweet": "good", "sentiment": "positive"}, "good\n", "positive"),
        ({"text": "good", "labels": [3, 7]}, "good\n", "3, 7"),
        ({"premise": "a", "hypothesis": "b", "label": 0}, "premise: a\nhypothesis: b\n", "0"),
        ({"question": "a?", "sentence": "b", "label": 0}, "question: a?\nsentence: b\n", "0"),
    ],
)
def test_labels_are_learned_behind_what_they_label(values: dict[str, Any], prompt: str, label: str) -> None:
    row = alone(**values)
    assert (row.prompt, row.completion, row.notes) == (prompt, label, ())


def test_a_label_is_there_to_stratify_by_and_the_form_of_the_prompt_is_known_for_generation() -> None:
    layout = layouts({"text": "good", "label": "praise"})
    assert shaped(layout, text="good", label="praise").extras == {"label": "praise"}
    assert (layout.template, layout.columns) == ("{text}\n", {"text": "text", "label": "label"})


def test_a_missing_label_and_an_empty_text_are_told_apart() -> None:
    layout = layouts({"text": "good", "label": "praise"})
    assert reason(layout, text="good", label="") == "missing_field"
    assert reason(layout, text="good", label=None) == "missing_field"
    assert reason(layout, text=" ", label="praise") == "empty"
    assert reason(layout, text="good") == "missing_field"


@pytest.mark.parametrize(
    "values",
    [
        {"article": "long", "highlights": "short", "id": "1"},
        {"document": "long", "summary": "short"},
        {"dialogue": "long", "summary": "short"},
    ],
)
def test_summaries_are_learned_behind_their_source(values: dict[str, Any]) -> None:
    row = alone(**values)
    assert (row.prompt, row.completion) == ("long\n\nSummary:\n", "short")


@pytest.mark.parametrize(
    ("choices", "answer", "letter"),
    [
        (["one", "two", "three"], 2, "C"),
        (["one", "two"], "B", "B"),
        (["one", "two"], "two", "B"),
        ({"text": ["one", "two"], "label": ["1", "2"]}, "1", "A"),
    ],
)
def test_multiple_choice_questions_show_their_options(choices: object, answer: object, letter: str) -> None:
    row = alone(question="Which?", choices=choices, answerKey=answer)
    assert "A. one\nB. two" in row.prompt
    assert row.completion == letter


@pytest.mark.parametrize("answer", [9, "Z", True, "neither"])
def test_an_answer_that_is_no_option_is_not_guessed_at(answer: object) -> None:
    layout = layouts({"question": "Which?", "choices": ["one", "two"], "answer": 0})
    assert reason(layout, question="Which?", choices=["one", "two"], answer=answer) in (
        "wrong_shape",
        "not_text",
    )


@pytest.mark.parametrize(
    "values",
    [
        {"text": "Once", "url": "https://x", "meta": {"a": 1}},
        {"story": "Once"},
        {"content": "Once", "license": "mit"},
        {"quote": "Once"},
    ],
)
def test_plain_text_has_no_prompt(values: dict[str, Any]) -> None:
    row = alone(**values)
    assert (row.prompt, row.completion) == ("", "Once")


@pytest.mark.parametrize(
    "values",
    [
        {"messages": [USER, ASSISTANT]},
        {"prompt": "Who are you?", "prompt_id": "1", "messages": [USER, ASSISTANT]},
        {"conversations": [{"from": "human", "value": "Who are you?"}, {"from": "gpt", "value": "A model."}]},
        {"some_column": [USER, ASSISTANT], "id": 7},
        {"prompt": [USER], "completion": [ASSISTANT]},
        {"messages": [USER], "response": "A model."},
        {"conversations": ["Who are you?", "A model."], "source": "s"},
        {"conversation": [{"input": "Who are you?", "output": "A model."}], "source": "s"},
        {"contents": [{"role": "user", "parts": [{"text": "Who are you?"}]}, {"role": "model", "parts": ["A model."]}]},
        {"text": "<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\nA model.<|im_end|>"},
    ],
)  # fmt: skip
def test_conversations(values: dict[str, Any]) -> None:
    assert turns(alone(**values)) == DIALOGUE


def test_a_system_column_makes_a_conversation() -> None:
    row = alone(id="1", system_prompt="Be nice.", question="Who are you?", response="A model.")
    assert turns(row) == [("system", "Be nice."), *DIALOGUE]
    layout = layouts({"system_prompt": "Be nice.", "question": "q", "response": "a"})
    assert turns(shaped(layout, system_prompt="", question="Who are you?", response="A model.")) == DIALOGUE


def test_calls_in_an_answer_beside_tools_are_calls() -> None:
    row = alone(
        query="Weather?", answers='[{"name": "w", "arguments": {"c": "Bonn"}}]', tools='[{"name": "w"}]'
    )
    assert row.messages[1].tool_calls == (
        '[{"type": "function", "function": {"name": "w", "arguments": "{\\"c\\": \\"Bonn\\"}"}}]'
    )
    assert row.tools == '[{"type": "function", "function": {"name": "w"}}]'


def test_only_desirable_answers_are_learned() -> None:
    layout = layouts(
        {"prompt": "p", "completion": "c", "label": True}, {"prompt": "p", "completion": "d", "label": False}
    )
    assert shaped(layout, prompt="p", completion="c", label=True).completion == "c"
    assert reason(layout, prompt="p", completion="d", label=False) == "undesirable"
    assert reason(layout, prompt="p", completion="d", label=None) == "missing_field"
    spelled = layouts({"prompt": "p", "completion": "c", "label": "True"})
    assert shaped(spelled, prompt="p", completion="c", label="True").completion == "c"


@pytest.mark.parametrize(
    ("values", "call"),
    [
        ({"frage": "q", "antwort": "a"}, 'columns={"instruction": "frage", "response": "antwort"}'),
        (
            {"translation": {"en": "Hello", "fr": "Bonjour"}},
            'columns={"prompt": "translation.en", "completion": "translation.fr"}',
        ),
        ({"text": "word " * 400, "category": "science"}, 'columns={"label": "category", "text": "text"}'),
    ],
)
def test_what_could_be_read_in_several_ways_is_asked_about(values: dict[str, Any], call: str) -> None:
    with pytest.raises(UnmappedColumns) as raised:
        layouts(*[values] * 6)
    assert call in raised.value.recovery
    for column in values:
        assert f'"{column}"' in raised.value.message


def test_a_column_of_few_values_is_proposed_as_the_label() -> None:
    with pytest.raises(UnmappedColumns) as raised:
        layouts(*[{"v1": ("ham", "spam")[at % 2], "v2": f"message number {at}"} for at in range(8)])
    assert 'columns={"label": "v1", "text": "v2"}' in raised.value.recovery


def test_turns_in_rows_of_their_own_are_not_taken_for_texts() -> None:
    turn = {"message_id": "1", "parent_id": None, "text": "Hello", "role": "prompter", "message_tree_id": "1"}
    with pytest.raises(UnmappedColumns, match="single turn"):
        layouts(turn, {**turn, "role": "assistant", "parent_id": "1"})


def test_two_columns_with_the_answers_name_are_asked_about() -> None:
    with pytest.raises(UnmappedColumns, match='are called "output"'):
        layouts({"instruction": "i", "output": "x", "output_2": "o"})


@pytest.mark.parametrize("values", [{"messages": "hello"}, {"anchor": "a", "positive": "b", "negative": "c"}])
def test_names_alone_do_not_make_a_shape(values: dict[str, Any]) -> None:
    with pytest.raises(UnmappedColumns):
        layouts(values)

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.data.shaping.shaped import ASSISTANT, USER, alone, layouts, reason, shaped, turns
from tunesmith.data.reading.source_row import JsonNumber
from tunesmith.data.shaping.layouts import Layouts
from tunesmith.schemas.enums import DataFormat

CHAT = layouts({"messages": [USER, ASSISTANT]})
DIALOGUE = [("user", "Who are you?"), ("assistant", "A model.")]


def said(*turns: dict[str, Any]) -> Any:
    return shaped(CHAT, messages=list(turns))


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "Human", "content": "Who are you?"}, {"role": "AI", "content": "A model."}],
        [{"Role": "USER", "Content": "Who are you?"}, {"Role": "Assistant", "Content": "A model."}],
        [{"from": "user", "value": "Who are you?"}, {"from": "bing", "value": "A model."}],
        [{"from": "human", "value": "Who are you?"}, {"from": "chatgpt", "value": "A model."}],
        [{"speaker": "USER", "text": "Who are you?"}, {"speaker": "SYSTEM", "text": "A model."}],
        [{"speaker": "customer", "utterance": "Who are you?"}, {"speaker": "agent", "utterance": "A model."}],
        [{"human": "Who are you?", "assistant": "A model."}],
        [{"user": "Who are you?"}, {"bot": "A model."}],
        [{"question": "Who are you?", "answer": "A model."}],
        [["Who are you?", "A model."]],
        ["Who are you?", "A model."],
        [
            {**USER, "content": [{"type": "text", "text": "Who are you?"}]},
            {**ASSISTANT, "content": ["A model."]},
        ],
        json.dumps([USER, ASSISTANT]),
        str([USER, ASSISTANT]),
        {"messages": [USER, ASSISTANT]},
        {"role": ["user", "assistant"], "content": ["Who are you?", "A model."]},
        "<|im_start|>user\nWho are you?<|im_end|>\n<|im_start|>assistant\nA model.<|im_end|>\n",
    ],
)
def test_every_form_of_a_conversation_becomes_the_same_messages(messages: Any) -> None:
    assert turns(shaped(CHAT, messages=messages)) == DIALOGUE
    assert turns(alone(messages=messages)) == DIALOGUE


def test_developers_and_systems_speak_as_the_system_and_empty_ones_are_left_out() -> None:
    assert turns(said({"role": "developer", "content": "Be brief."}, USER, ASSISTANT))[0] == (
        "system",
        "Be brief.",
    )
    assert turns(said({"role": "system", "content": ""}, USER, ASSISTANT)) == DIALOGUE


@pytest.mark.parametrize(
    ("text", "system"),
    [
        ("### Human: Who are you?### Assistant: A model.", None),
        ("### System: Be nice.\n### User: Who are you?\n### Assistant: A model.", "Be nice."),
        ("\n\nHuman: Who are you?\n\nAssistant: A model.", None),
        ("A chat with a bot. USER: Who are you? ASSISTANT: A model.</s>", "A chat with a bot."),
        ("USER: Who are you?\n\n\nASSISTANT: A model. <|endoftext|>", None),
        ("User: Who are you?\nAssistant: A model.", None),
        ("<s>[INST] <<SYS>>\nBe nice.\n<</SYS>>\n\nWho are you? [/INST] A model. </s>", "Be nice."),
        ("<s>[INST] Who are you? [/INST] A model.</s>", None),
        (
            "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nWho are you?<|eot_id|>"
            "<|start_header_id|>assistant<|end_header_id|>\n\nA model.<|eot_id|>",
            None,
        ),
        (
            "<bos><start_of_turn>user\nWho are you?<end_of_turn>\n<start_of_turn>model\nA model.<end_of_turn>",
            None,
        ),
        ("<|system|>\nBe nice.</s>\n<|user|>\nWho are you?</s>\n<|assistant|>\nA model.</s>", "Be nice."),
    ],
)
def test_a_conversation_written_into_one_text_is_taken_apart(text: str, system: str | None) -> None:
    wanted = [*([("system", system)] if system else []), *DIALOGUE]
    row = alone(text=text)
    assert (turns(row), row.notes) == (wanted, ())
    assert turns(shaped(CHAT, messages=text)) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "The user said: Assistant: help me. Then nothing happened.",
        "<|im_start|> is the token that begins a turn in ChatML.",
        "### Human anatomy\nThe human body has organs.\n### Assistant professors\nThey teach.",
        "User: alone at the terminal",
        "[INST] stands before an instruction.",
    ],
)
def test_a_text_about_conversations_stays_a_text(text: str) -> None:
    row = alone(text=text)
    assert (row.messages, row.completion) == ((), text)


def test_a_functions_answer_in_a_transcript_is_a_tools() -> None:
    chat = 'USER: Book it.\n\n\nASSISTANT: <functioncall> {"name": "f"} <|endoftext|>\n\n\nFUNCTION RESPONSE: {"ok": 1}'
    row = alone(system="SYSTEM: You have functions.", chat=f"{chat}\n\n\nASSISTANT: Done.")
    assert turns(row) == [
        ("system", "You have functions."),
        ("user", "Book it."),
        ("assistant", '<functioncall> {"name": "f"}'),
        ("tool", '{"ok": 1}'),
        ("assistant", "Done."),
    ]


CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}


def test_tool_calls_are_kept_with_null_content() -> None:
    row = said(
        USER,
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "name": "add", "content": "2"},
        ASSISTANT,
    )
    assert json.loads(row.messages[1].tool_calls) == [CALL]
    assert (row.messages[2].tool_call_id, row.messages[2].name) == ("c1", "add")
    assert row.notes == ()


def test_older_and_foreign_forms_of_calls_become_the_same() -> None:
    plain = [{"type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}]
    older = said(
        USER,
        {"role": "assistant", "content": None, "function_call": {"name": "add", "arguments": '{"a": 1}'}},
        {"role": "function", "name": "add", "content": "2"},
        ASSISTANT,
    )
    sharegpt = alone(
        conversations=[
            {"from": "human", "value": "1+1?"},
            {"from": "function_call", "value": '{"name": "add", "arguments": {"a": 1}}'},
            {"from": "observation", "value": "2"},
            {"from": "gpt", "value": "Two."},
        ],
        tools='[{"name": "add", "parameters": {}}]',
    )
    assert json.loads(older.messages[1].tool_calls) == plain
    assert json.loads(sharegpt.messages[1].tool_calls) == plain
    assert [message.role for message in sharegpt.messages] == ["user", "assistant", "tool", "assistant"]
    assert json.loads(sharegpt.tools) == [{"type": "function", "function": {"name": "add", "parameters": {}}}]


def test_numbers_in_tools_stay_numbers() -> None:
    row = alone(
        messages=[USER, ASSISTANT],
        tools=[{"name": "f", "parameters": {"minimum": JsonNumber("1.50"), "maximum": 3}}],
    )
    assert json.loads(row.tools)[0]["function"]["parameters"] == {"minimum": 1.5, "maximum": 3}


def test_a_column_of_tools_that_are_none_is_left_alone() -> None:
    assert alone(messages=[USER, ASSISTANT], tools=["hammer", "saw"]).tools == ""


@pytest.mark.parametrize("silent", [{"weight": 0}, {"weight": JsonNumber("0.0")}, {"train": False}])
def test_a_turn_of_weight_zero_is_context(silent: dict[str, Any]) -> None:
    row = said(USER, {**ASSISTANT, **silent}, USER, {**ASSISTANT, "weight": 1})
    assert [message.trains for message in row.messages] == [True, False, True, True]
    assert reason(CHAT, messages=[USER, {**ASSISTANT, **silent}]) == "no_reply"


def reply(rank: int | None, text: str, *replies: dict[str, Any], role: str = "assistant") -> dict[str, Any]:
    return {"role": role, "rank": rank, "text": text, "replies": list(replies)}


def test_the_best_ranked_replies_of_a_tree_are_followed() -> None:
    thanks = reply(None, "Thanks.", reply(0, "Welcome."), role="prompter")
    root = reply(
        None,
        "Hello",
        reply(1, "worse"),
        reply(0, "better", reply(None, "unanswered", role="prompter"), thanks),
        {**reply(-1, "deleted"), "deleted": True},
        role="prompter",
    )
    wanted = [("user", "Hello"), ("assistant", "better"), ("user", "Thanks."), ("assistant", "Welcome.")]
    assert turns(alone(message_tree_id="t", prompt=root)) == wanted
    assert turns(alone(message_id="m", **root)) == wanted


def test_history_pairs_come_before_the_last_question() -> None:
    history = [["a", "b"], ["c", "d"]]
    before = [("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    assert turns(alone(history=history, query="q", response="r")) == [
        *before,
        ("user", "q"),
        ("assistant", "r"),
    ]
    assert turns(alone(history=history)) == before
    row = alone(instruction="i", input="x", output="o", system="s", history=history)
    assert turns(row) == [("system", "s"), *before, ("user", "i\n\nx"), ("assistant", "o")]
    assert turns(alone(instruction="i", input="", output="o", history=[])) == [
        ("user", "i"),
        ("assistant", "o"),
    ]


SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.mark.parametrize(
    ("messages", "note"),
    [
        ([USER, ASSISTANT, SYSTEM, USER, ASSISTANT], "system_in_the_middle"),
        ([SYSTEM, SYSTEM, USER, ASSISTANT], "two_system_messages"),
        ([ASSISTANT, USER, ASSISTANT], "starts_with_assistant"),
        ([USER, ASSISTANT, USER], "ends_with_user"),
        ([USER, USER, ASSISTANT], "repeated_role"),
        ([USER, ASSISTANT, ASSISTANT], "repeated_role"),
        ([USER, {**ASSISTANT, "content": "Assistant: A model."}], "role_prefix"),
        ([{**USER, "content": "User: hello"}, ASSISTANT], "role_prefix"),
        ([USER, {**ASSISTANT, "content": "### Response:\nA model."}], "role_prefix"),
        ([USER, {**ASSISTANT, "content": "A model.<|im_end|>"}], "control_tokens"),
        ([USER, {**ASSISTANT, "content": "A model.</s>"}], "control_tokens"),
        ([{**USER, "content": "[INST] hello"}, ASSISTANT], "control_tokens"),
        ([USER, {**ASSISTANT, "content": 42}], "wrong_type"),
        ([USER, {**ASSISTANT, "content": "half \ud83d"}], "lone_surrogate"),
    ],
)
def test_what_is_odd_but_can_be_learned_is_kept_and_remarked_on(messages: list[Any], note: str) -> None:
    assert shaped(CHAT, messages=messages).notes == (note,)


@pytest.mark.parametrize(
    "content",
    [
        "Users: all of them",
        "An assistant: somebody who helps",
        "a <s>struck</s> word",
        "x = a[0] < b",
        "<div>a</div>",
    ],
)
def test_ordinary_text_is_not_remarked_on(content: str) -> None:
    assert said({**USER, "content": content}, {**ASSISTANT, "content": content}).notes == ()


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        (None, "missing_field"),
        ([], "empty"),
        ("hello", "wrong_shape"),
        (" ", "empty"),
        (["hello"], "wrong_shape"),
        ({"0": USER}, "wrong_shape"),
        (7, "wrong_shape"),
        ([{"speaker": "a", "text": "b"}, {"speaker": "x", "text": "b"}], "unsupported_role"),
        ([USER, {"role": "narrator", "content": "x"}, ASSISTANT], "unsupported_role"),
        ([{"content": "x"}, ASSISTANT], "wrong_shape"),
        ([USER], "no_reply"),
        ([ASSISTANT], "no_reply"),
        ([SYSTEM], "no_reply"),
        ([ASSISTANT, USER], "no_reply"),
        ([USER, {"role": "assistant"}], "missing_field"),
        ([USER, {"role": "assistant", "content": None}], "missing_field"),
        ([USER, {"role": "assistant", "content": " "}], "empty"),
        ([USER, {"role": "assistant", "content": {"a": 1}}], "not_text"),
        ([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, ASSISTANT], "not_text"),
        ([USER, {"role": "assistant", "content": "a \0 b"}], "invalid_text"),
        ([USER, {"role": "assistant", "content": None, "tool_calls": [{"no": "name"}]}], "wrong_shape"),
    ],
)
def test_a_conversation_that_cannot_be_used_says_why(messages: object, why: str) -> None:
    assert reason(CHAT, messages=messages) == why


def test_nesting_without_end_is_no_crash() -> None:
    value: Any = "x"
    for _ in range(100_000):
        value = {"messages": [value]}
    assert reason(CHAT, messages=value) == "wrong_shape"
    assert reason(CHAT, messages="[" * 100_000) == "wrong_shape"


def test_a_chat_format_turns_prompts_into_conversations() -> None:
    layout: Layouts = layouts({"instruction": "i", "input": "x", "output": "o"}, wanted=DataFormat.CHAT)
    row = shaped(layout, instruction="i", input="x", output="o")
    assert turns(row) == [("user", "i\n\nx"), ("assistant", "o")]
    assert layout.row_kind == "messages"

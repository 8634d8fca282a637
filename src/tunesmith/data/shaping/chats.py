"""Rows that hold a conversation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from tunesmith.data.rows import Message, Row
from tunesmith.data.shaping.calls import calls_text, is_call, tools_text
from tunesmith.data.shaping.texts import Unfit, begins_with_role, is_blank, optional_text, text_of
from tunesmith.data.shaping.turns import conversation_of, pair_of
from tunesmith.data.templates import asked
from tunesmith.schemas.enums import DataFormat


@dataclass(frozen=True)
class ChatShape:
    """A column of messages, perhaps with a system prompt, tools and a last answer in columns of their own."""

    columns: Mapping[str, str]
    name: ClassVar[str] = "chat"
    format: ClassVar[DataFormat] = DataFormat.CHAT
    template: ClassVar[str | None] = None
    learned: ClassVar[str] = "messages"

    def read(
        self,
        number: int,
        values: Mapping[str, Any],
        extras: dict[str, str],
        notes: list[str],
        as_messages: bool,
    ) -> tuple[str, Row]:
        """The row, and the form its conversation had. Raises Unfit."""
        columns = self.columns
        found = conversation_of(values.get(columns["messages"]), notes)
        messages = found.messages
        if "response" in columns and messages and messages[-1].role != "assistant":
            messages = [*messages, *_answer(values.get(columns["response"]), notes)]
        system = system_text(values, columns, notes)
        tools = tools_text(values.get(columns["tools"])) if "tools" in columns else ""
        return found.shape, chat_row(
            number, messages, extras, notes, system=system, tools=tools or tools_text(found.tools)
        )


@dataclass(frozen=True)
class TreeShape:
    """A row that is the first message of a reply tree."""

    columns: Mapping[str, str]
    name: ClassVar[str] = "reply_tree"
    format: ClassVar[DataFormat] = DataFormat.CHAT
    template: ClassVar[str | None] = None
    learned: ClassVar[str] = "replies"

    def read(
        self,
        number: int,
        values: Mapping[str, Any],
        extras: dict[str, str],
        notes: list[str],
        as_messages: bool,
    ) -> tuple[str, Row]:
        """The row. Raises Unfit."""
        found = conversation_of(dict(values), notes)
        return found.shape, chat_row(number, found.messages, extras, notes)


@dataclass(frozen=True)
class HistoryShape:
    """Earlier [question, answer] pairs in a column, perhaps with a last question and its answer beside them."""

    columns: Mapping[str, str]
    name: ClassVar[str] = "history"
    format: ClassVar[DataFormat] = DataFormat.CHAT
    template: ClassVar[str | None] = None

    @property
    def learned(self) -> str:
        return "response" if "response" in self.columns else "history"

    def read(
        self,
        number: int,
        values: Mapping[str, Any],
        extras: dict[str, str],
        notes: list[str],
        as_messages: bool,
    ) -> tuple[str, Row]:
        """The row. Raises Unfit."""
        columns = self.columns
        past = values.get(columns["history"])
        messages = [] if is_blank(past) else _past(past, notes)
        if "instruction" in columns:
            question = text_of(values.get(columns["instruction"]), notes)
            given = optional_text(values.get(columns["input"]), notes) if "input" in columns else ""
            answer = text_of(values.get(columns["response"]), notes)
            messages += [Message("user", asked(question, given)), Message("assistant", answer)]
        system = system_text(values, columns, notes)
        return self.name, chat_row(number, messages, extras, notes, system=system)


def chat_row(
    number: int,
    messages: Sequence[Message],
    extras: dict[str, str],
    notes: list[str],
    *,
    system: str = "",
    tools: str = "",
    rejected: str = "",
) -> Row:
    """A conversation as a row, with its oddities remarked on.

    Raises:
        Unfit: empty; no_reply where no assistant's turn that may be learned follows one of the user.
    """
    if not messages:
        raise Unfit("empty")
    if system and messages[0].role != "system":
        messages = [Message("system", system), *messages]
    if not _has_reply(messages):
        raise Unfit("no_reply")
    notes.extend(_oddities(messages))
    return Row(
        number,
        messages=tuple(messages),
        extras=extras,
        rejected=rejected,
        tools=tools,
        notes=tuple(dict.fromkeys(notes)),
    )


def two_turns(question: str, answer: str, *, call_allowed: bool = False) -> list[Message]:
    """A question with its answer. With `call_allowed` an answer that is nothing but calls becomes calls."""
    if call_allowed and is_call(answer):
        return [Message("user", question), Message("assistant", "", tool_calls=calls_text(answer))]
    return [Message("user", question), Message("assistant", answer)]


def system_text(values: Mapping[str, Any], columns: Mapping[str, str], notes: list[str]) -> str:
    """The system prompt of a row, without a "SYSTEM:" before it; "" where it has none. Raises Unfit."""
    if "system" not in columns:
        return ""
    text = optional_text(values.get(columns["system"]), notes)
    return text.removeprefix("SYSTEM:").lstrip() if text.startswith("SYSTEM:") else text


def _answer(value: Any, notes: list[str]) -> list[Message]:
    if is_blank(value):
        return []
    if isinstance(value, str):
        return [Message("assistant", text_of(value, notes))]
    return conversation_of([value] if isinstance(value, dict) else value, notes).messages


def _past(value: Any, notes: list[str]) -> list[Message]:
    if isinstance(value, list) and all(isinstance(pair, list | tuple) for pair in value):
        return [turn for pair in value for turn in pair_of(pair, notes)]
    return list(conversation_of(value, notes).messages)


def _has_reply(messages: Sequence[Message]) -> bool:
    asked_before = False
    for message in messages:
        if message.role == "user":
            asked_before = True
        elif asked_before and message.role == "assistant" and message.trains:
            return True
    return False


def _oddities(messages: Sequence[Message]) -> Iterator[str]:
    """Kinds of the check chat_structure that this conversation shows."""
    roles = [message.role for message in messages]
    spoken = [role for role in roles if role != "system"]
    if spoken[0] == "assistant":
        yield "starts_with_assistant"
    if spoken[-1] == "user":
        yield "ends_with_user"
    lead = next(place for place, role in enumerate(roles) if role != "system")
    if lead > 1:
        yield "two_system_messages"
    if "system" in roles[lead:]:
        yield "system_in_the_middle"
    if any(before == after != "tool" for before, after in pairwise(spoken)):
        yield "repeated_role"
    if any(begins_with_role(message.content, message.role) for message in messages):
        yield "role_prefix"

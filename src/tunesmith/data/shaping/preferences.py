"""Rows that hold a better and a worse answer: the better one is taught, the worse one kept beside it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tunesmith.data.rows import Message, Row
from tunesmith.data.shaping.chats import chat_row, system_text
from tunesmith.data.shaping.shape import Shape
from tunesmith.data.shaping.texts import Unfit, begins_with_role, is_blank, optional_text, text_of
from tunesmith.data.shaping.transcripts import open_transcript
from tunesmith.data.shaping.turns import conversation_of, looks_like_conversation
from tunesmith.data.templates import asked, instruction_prompt
from tunesmith.schemas.enums import DataFormat

ECHO_CHARACTERS = 16
"""A shorter prompt that an answer begins with is no sign of an echo."""


@dataclass(frozen=True)
class PreferenceShape:
    """`columns` has the roles chosen, rejected, and perhaps prompt (text or messages), input, system, messages.

    The answers are texts, turns, or whole conversations that hold their prompt (as messages or as one text).
    """

    format: DataFormat
    columns: Mapping[str, str]
    conversational: bool = False
    name: ClassVar[str] = "preference"
    template: ClassVar[str | None] = None
    learned: ClassVar[str] = "chosen"

    def read(
        self,
        number: int,
        values: Mapping[str, Any],
        extras: dict[str, str],
        notes: list[str],
        as_messages: bool,
    ) -> tuple[str, Row]:
        """The row. Raises Unfit where the better answer cannot be taught."""
        columns = self.columns
        chosen = values.get(columns["chosen"])
        if chosen is None:
            raise Unfit("missing_field")
        system = system_text(values, columns, notes)
        messages = self._conversation(values, chosen, notes)
        rejected = _last_answer(values.get(columns.get("rejected", "")))
        if messages is not None:
            question = next((turn.content for turn in reversed(messages) if turn.role == "user"), "")
            notes.extend(_remarks(question, messages[-1].content, rejected))
            return self.name, chat_row(number, messages, extras, notes, system=system, rejected=rejected)
        column = columns.get("prompt")
        if column is None:
            raise Unfit("wrong_shape")
        question = text_of(values.get(column), notes)
        given = optional_text(values.get(columns["input"]), notes) if "input" in columns else ""
        answer = text_of(chosen, notes)
        notes.extend(_remarks(asked(question, given), answer, rejected))
        if as_messages or self.conversational:
            turns = [Message("user", asked(question, given)), Message("assistant", answer)]
            return self.name, chat_row(number, turns, extras, notes, system=system, rejected=rejected)
        if begins_with_role(answer, "assistant") or begins_with_role(question, "user"):
            notes.append("role_prefix")
        prompt = (
            question if self.format is DataFormat.COMPLETION else instruction_prompt(question, given, system)
        )
        return self.name, Row(
            number, prompt, answer, extras=extras, rejected=rejected, notes=tuple(dict.fromkeys(notes))
        )

    def _conversation(self, values: Mapping[str, Any], chosen: Any, notes: list[str]) -> list[Message] | None:
        """The prompt's turns and the better answer's; None where both are mere texts."""
        lead = self._lead(values, notes)
        if isinstance(chosen, str) and not looks_like_conversation(chosen):
            return None if lead is None else [*lead, Message("assistant", text_of(chosen, notes))]
        turns = conversation_of([chosen] if is_turn(chosen) else chosen, notes).messages
        if any(turn.role == "user" for turn in turns):
            return turns  # the whole conversation, its prompt included
        if lead is None and "prompt" in self.columns:
            lead = [Message("user", text_of(values.get(self.columns["prompt"]), notes))]
        return [*(lead or ()), *turns]

    def _lead(self, values: Mapping[str, Any], notes: list[str]) -> list[Message] | None:
        """The turns before the answer, where the prompt is a conversation."""
        column = self.columns.get("messages") or self.columns.get("prompt")
        value = values.get(column) if column is not None else None
        if isinstance(value, str) and (turns := open_transcript(value)) is not None:
            return [Message(role, text_of(content, notes)) for role, content in turns]
        if is_blank(value) or (isinstance(value, str) and not looks_like_conversation(value)):
            return None
        turns_before = conversation_of(value, notes).messages
        while turns_before and turns_before[-1].role == "assistant":
            turns_before.pop()
        return turns_before


@dataclass(frozen=True)
class JudgedShape:
    """Rows of another shape with a column that says whether the answer is a desirable one (as KTO has them).

    Only desirable answers are taught.
    """

    inner: Shape
    verdict: str
    name: ClassVar[str] = "judged"

    @property
    def learned(self) -> str:
        return self.inner.learned

    @property
    def format(self) -> DataFormat:
        return self.inner.format

    @property
    def template(self) -> str | None:
        return self.inner.template

    @property
    def columns(self) -> Mapping[str, str]:
        return {**self.inner.columns, "label": self.verdict}

    def read(
        self,
        number: int,
        values: Mapping[str, Any],
        extras: dict[str, str],
        notes: list[str],
        as_messages: bool,
    ) -> tuple[str, Row]:
        """The row. Raises Unfit: undesirable, or what the other shape raises."""
        verdict = truth_of(values.get(self.verdict))
        if verdict is None:
            raise Unfit("missing_field")
        if not verdict:
            raise Unfit("undesirable")
        return self.name, self.inner.read(number, values, extras, notes, as_messages)[1]


def truth_of(value: Any) -> bool | None:
    """A truth value, also one spelled out; None for everything else."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.strip().casefold()) if isinstance(value, str) else None


def is_turn(value: Any) -> bool:
    """Whether an object is one turn, such as {"from": "gpt", "value": ...}."""
    return isinstance(value, dict) and looks_like_conversation([value])


def _last_answer(value: Any) -> str:
    """The worse answer as text, "" where there is none that can be read."""
    unheeded: list[str] = []
    try:
        if is_blank(value):
            return ""
        if isinstance(value, str) and not looks_like_conversation(value):
            return text_of(value, unheeded)
        if not isinstance(value, str | list | dict):
            return text_of(value, unheeded)
        turns = conversation_of([value] if is_turn(value) else value, unheeded).messages
        return next((turn.content for turn in reversed(turns) if turn.role == "assistant"), "")
    except Unfit:
        return ""


def _remarks(question: str, chosen: str, rejected: str) -> Iterator[str]:
    """Kinds of the check preference_pairs that this pair shows."""
    if not rejected:
        yield "missing_rejected"
    elif chosen == rejected:
        yield "chosen_equals_rejected"
    elif "".join(chosen.split()) == "".join(rejected.split()):
        yield "differ_only_in_whitespace"
    echo = question.strip()
    if len(echo) >= ECHO_CHARACTERS and (
        chosen.lstrip().startswith(echo) or rejected.lstrip().startswith(echo)
    ):
        yield "prompt_in_answers"

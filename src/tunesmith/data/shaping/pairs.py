"""Rows that hold a prompt and its answer, or plain text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Formatter
from typing import Any, ClassVar

from tunesmith.data.rows import Message, Row
from tunesmith.data.shaping.calls import tools_text
from tunesmith.data.shaping.chats import chat_row, system_text, two_turns
from tunesmith.data.shaping.texts import Unfit, begins_with_role, is_blank, optional_text, text_of
from tunesmith.data.shaping.transcripts import read_transcript
from tunesmith.data.templates import asked, instruction_prompt
from tunesmith.schemas.enums import DataFormat

_LISTED_ANSWERS = ("text", "answers", "value", "aliases")


@dataclass(frozen=True)
class PairShape:
    """An instruction (perhaps with an input) and its response, or a prompt and its completion.

    `columns` has the roles instruction, input, response, or prompt, completion; and perhaps system and tools.
    An instruction is wrapped in the instruction form, a prompt is left as it is. `numeric`: columns that hold
    numbers in most rows. `several`: the answer's column holds a list of answers, of which the first is taken.
    `conversational`: rows become conversations.
    """

    name: str
    format: DataFormat
    columns: Mapping[str, str]
    numeric: frozenset[str] = frozenset()
    several: bool = False
    conversational: bool = False
    template: ClassVar[str | None] = None
    # Looked up once instead of in every row:
    _asked: str = field(init=False, repr=False, compare=False)
    _given: str | None = field(init=False, repr=False, compare=False)
    _learned: str = field(init=False, repr=False, compare=False)
    _wraps: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        columns = self.columns
        object.__setattr__(self, "_wraps", "instruction" in columns)
        object.__setattr__(self, "_asked", columns["instruction" if self._wraps else "prompt"])
        object.__setattr__(self, "_given", columns.get("input"))
        object.__setattr__(self, "_learned", columns[self.learned])

    @property
    def learned(self) -> str:
        return "response" if "response" in self.columns else "completion"

    @property
    def is_plain(self) -> bool:
        """Nothing but a question and its answer is taken from a row."""
        return not (
            self.several or self.conversational or "system" in self.columns or "tools" in self.columns
        )

    def read(
        self,
        number: int,
        values: Mapping[str, Any],
        extras: dict[str, str],
        notes: list[str],
        as_messages: bool,
    ) -> tuple[str, Row]:
        """The row. Raises Unfit."""
        question = text_of(values.get(self._asked), notes, self._asked not in self.numeric)
        given = optional_text(values.get(self._given), notes) if self._given is not None else ""
        value = values.get(self._learned)
        if self.several:
            value = first_answer(value)
        answer = text_of(value, notes, self._learned not in self.numeric)
        if begins_with_role(answer, "assistant") or begins_with_role(question, "user"):
            notes.append("role_prefix")
        if as_messages or self.conversational:
            return self.name, self._as_chat(number, values, asked(question, given), answer, extras, notes)
        system = system_text(values, self.columns, notes) if "system" in self.columns else ""
        if self._wraps:
            question = instruction_prompt(question, given, system)
        elif system:
            question = f"{system}\n\n{question}"
        remarks = tuple(dict.fromkeys(notes)) if notes else ()
        return self.name, Row(number, question, answer, (), extras, "", "", remarks)

    def _as_chat(
        self,
        number: int,
        values: Mapping[str, Any],
        question: str,
        answer: str,
        extras: dict[str, str],
        notes: list[str],
    ) -> Row:
        columns = self.columns
        tools = tools_text(values.get(columns["tools"])) if "tools" in columns else ""
        return chat_row(
            number,
            two_turns(question, answer, call_allowed=bool(tools)),
            extras,
            notes,
            system=system_text(values, columns, notes),
            tools=tools,
        )


@dataclass(frozen=True)
class TemplateShape:
    """A prompt written from columns by a template, and the answer's column.

    `placeholders` maps what stands between braces in `template` to columns. A placeholder's column may be empty
    in a row, but not all of them, and none of `needed`. `blank` is the reason for which a blank answer is dropped.
    """

    name: str
    format: DataFormat
    columns: Mapping[str, str]
    template: str
    placeholders: Mapping[str, str]
    learned: str
    needed: frozenset[str] = frozenset()
    blank: str = "empty"
    numeric: frozenset[str] = frozenset()
    conversational: bool = False
    _parts: tuple[tuple[str, str | None], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = tuple((literal, name) for literal, name, _, _ in Formatter().parse(self.template))
        object.__setattr__(self, "_parts", parts)

    def read(
        self,
        number: int,
        values: Mapping[str, Any],
        extras: dict[str, str],
        notes: list[str],
        as_messages: bool,
    ) -> tuple[str, Row]:
        """The row. Raises Unfit."""
        cells = {
            name: text_of(values.get(column), notes)
            if column in self.needed
            else optional_text(values.get(column), notes)
            for name, column in self.placeholders.items()
        }
        if not any(cells.values()):
            raise Unfit("empty")
        # Not str.format: it would read a column called "a.b" as an attribute.
        prompt = "".join(literal + (cells[name] if name is not None else "") for literal, name in self._parts)
        learned = self.columns[self.learned]
        value = values.get(learned)
        if isinstance(value, str) and is_blank(value):
            raise Unfit(self.blank)
        answer = _label(value, notes, remark_type=learned not in self.numeric)
        if begins_with_role(answer, "assistant"):
            notes.append("role_prefix")
        if as_messages or self.conversational:
            return self.name, chat_row(number, two_turns(prompt.strip(), answer), extras, notes)
        return self.name, Row(number, prompt, answer, extras=extras, notes=tuple(dict.fromkeys(notes)))


@dataclass(frozen=True)
class TextShape:
    """A column of plain text, all of which is learned. A text that is a whole conversation becomes one."""

    columns: Mapping[str, str]
    name: ClassVar[str] = "plain_text"
    format: ClassVar[DataFormat] = DataFormat.COMPLETION
    template: ClassVar[str | None] = None
    learned: ClassVar[str] = "text"

    def read(
        self,
        number: int,
        values: Mapping[str, Any],
        extras: dict[str, str],
        notes: list[str],
        as_messages: bool,
    ) -> tuple[str, Row]:
        """The row. Raises Unfit."""
        value = values.get(self.columns["text"])
        transcript = read_transcript(value) if type(value) is str else None
        if transcript is not None:
            name, turns = transcript
            messages = [Message(role, text_of(content, notes)) for role, content in turns if content]
            return name, chat_row(number, messages, extras, notes)
        text = text_of(value, notes)
        return self.name, Row(number, "", text, extras=extras, notes=tuple(notes))


def first_answer(value: Any) -> Any:
    """Of several reference answers, listed or as in SQuAD's {"text": [...]}, the first; other values as they are."""
    if isinstance(value, dict):
        listed = next((value[key] for key in _LISTED_ANSWERS if isinstance(value.get(key), list | str)), None)
        return value if listed is None else first_answer(listed)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value[0] if value else None
    return value


def _label(value: Any, notes: list[str], *, remark_type: bool) -> str:
    """An answer or label; several labels of one text are joined by commas."""
    if isinstance(value, list) and value and all(isinstance(item, str | int) for item in value):
        return ", ".join(text_of(item, notes, remark_type=False) for item in value)
    return text_of(value, notes, remark_type=remark_type)

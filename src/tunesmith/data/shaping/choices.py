"""Multiple-choice questions: the options are listed under letters, and the answer is a letter."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tunesmith.data.rows import Row
from tunesmith.data.shaping.chats import chat_row, two_turns
from tunesmith.data.shaping.texts import Unfit, text_of
from tunesmith.data.templates import asked, instruction_prompt
from tunesmith.schemas.enums import DataFormat


@dataclass(frozen=True)
class ChoicesShape:
    """`columns` has the roles instruction, choices and response.

    The options are a list, or {"text": [...], "label": [...]} as in ARC. The response is the number of an option
    (from 0, as in MMLU), its letter or label, or its text.
    """

    columns: Mapping[str, str]
    format: DataFormat = DataFormat.INSTRUCTION
    conversational: bool = False
    name: ClassVar[str] = "multiple_choice"
    template: ClassVar[str | None] = None
    learned: ClassVar[str] = "response"

    def read(
        self,
        number: int,
        values: Mapping[str, Any],
        extras: dict[str, str],
        notes: list[str],
        as_messages: bool,
    ) -> tuple[str, Row]:
        """The row. Raises Unfit."""
        question = text_of(values.get(self.columns["instruction"]), notes)
        texts, labels = _options(values.get(self.columns["choices"]), notes)
        listed = "\n".join(
            f"{letter}. {text}" for letter, text in zip(string.ascii_uppercase, texts, strict=False)
        )
        answer = string.ascii_uppercase[_place(values.get(self.columns["response"]), texts, labels)]
        if as_messages or self.conversational:
            return self.name, chat_row(number, two_turns(asked(question, listed), answer), extras, notes)
        prompt = instruction_prompt(question, listed)
        return self.name, Row(number, prompt, answer, extras=extras, notes=tuple(dict.fromkeys(notes)))


def _options(value: Any, notes: list[str]) -> tuple[list[str], list[str]]:
    """The texts of the options, and the labels that the source gives them."""
    texts, labels = (value.get("text"), value.get("label")) if isinstance(value, dict) else (value, None)
    if texts is None:
        raise Unfit("missing_field")
    if not isinstance(texts, list) or not 1 < len(texts) <= len(string.ascii_uppercase):
        raise Unfit("wrong_shape")
    given = [str(label) for label in labels] if isinstance(labels, list) else []
    return [text_of(text, notes, remark_type=False) for text in texts], given


def _place(answer: Any, texts: list[str], labels: list[str]) -> int:
    """The place of the right option among them, from 0."""
    if isinstance(answer, bool):
        raise Unfit("not_text")
    if isinstance(answer, int):
        place = answer
    else:
        text = text_of(answer, [])
        named = text.strip()
        if named in labels:
            place = labels.index(named)
        elif text in texts:
            place = texts.index(text)
        elif len(named) == 1 and named.upper() in string.ascii_uppercase:
            place = string.ascii_uppercase.index(named.upper())
        else:
            place = int(named) if named.isdecimal() and len(named) < 3 else -1
    if not 0 <= place < len(texts):
        raise Unfit("wrong_shape")
    return place

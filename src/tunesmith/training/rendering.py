"""Rows as token ids and labels: exactly what the model sees, in training, evaluation and generation alike."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tunesmith.schemas.datasets import RowKind
from tunesmith.schemas.errors import EmptyMask, UnsupportedModel
from tunesmith.schemas.plans import RenderedExample
from tunesmith.training.chat_template import (
    MarkedChat,
    Message,
    TemplateRefused,
    encode_chat,
    install_template,
    mark_chat,
)

NO_LOSS = -100
"""The label that cross-entropy leaves out."""

PROMPT_TOO_LONG = "prompt_too_long"
NO_ASSISTANT_TURN = "no_assistant_turn"
TEMPLATE_REFUSED = "template_refused"

_SHOWN_CHARACTERS = 2000


class RowDropped(Exception):
    """The row cannot be trained on; `reason` is one of this module's constants."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True)
class Rendered:
    """One row. Both lists have the same length; a label is the token's own id, or NO_LOSS."""

    input_ids: list[int]
    labels: list[int]
    truncated: bool = False

    @property
    def loss_tokens(self) -> int:
        return sum(label != NO_LOSS for label in self.labels)


@dataclass(frozen=True)
class RenderedRows:
    """The rows that can be trained on, in order, and how many could not be, by reason."""

    rows: list[Rendered]
    dropped: dict[str, int]

    @property
    def truncated(self) -> int:
        return sum(row.truncated for row in self.rows)


class Renderer:
    """Renders the rows of one dataset for one tokenizer.

    For chat rows a tokenizer without a template is given Tunesmith's.
    """

    def __init__(self, tokenizer: Any, row_kind: RowKind, max_length: int | None) -> None:
        """`max_length`: tokens; longer rows are cut at their end and say so. None: nothing is cut.

        Raises:
            UnsupportedModel: the tokenizer has no end-of-text token, so no model could learn to stop.
        """
        if tokenizer.eos_token_id is None:
            raise UnsupportedModel(
                "The base model's tokenizer has no end-of-text token, so a tuned model could never stop.",
                "Choose another base model.",
            )
        self.tokenizer = tokenizer
        self.row_kind = row_kind
        self.max_length = max_length
        self._start = _start_tokens(tokenizer)
        self.chat_template = (
            install_template(tokenizer, begins_with_bos=bool(self._start)) if row_kind == "messages" else None
        )

    def render(self, row: Any) -> Rendered:
        """The row with its labels: the completion's tokens, or each assistant turn's, with the end token.

        Raises:
            RowDropped: there is nothing to learn from it.
        """
        if self.row_kind == "messages":
            return self._cut(self._marked(row))
        prompt, completion = self._encode(_field(row, "prompt")), self._encode(_field(row, "completion"))
        start = len(self._start) + len(prompt)
        input_ids = [*self._start, *prompt, *completion, self.tokenizer.eos_token_id]
        return self._cut(MarkedChat(input_ids, [(start, len(input_ids))]))

    def render_all(self, rows: Iterable[Any]) -> RenderedRows:
        """Every row that can be trained on; the others are counted by reason."""
        rendered: list[Rendered] = []
        dropped: Counter[str] = Counter()
        for row in rows:
            try:
                rendered.append(self.render(row))
            except RowDropped as drop:
                dropped[drop.reason] += 1
        return RenderedRows(rendered, dict(dropped))

    def prompt_ids(self, row: Any) -> list[int]:
        """What generation is given: everything before the last answer. It is not cut to `max_length`.

        Raises:
            RowDropped: the template does not take the row's roles.
        """
        if self.row_kind == "messages":
            return self.chat_prompt_ids(_up_to_last_answer(row)[:-1])
        return [*self._start, *self._encode(_field(row, "prompt"))]

    def chat_prompt_ids(self, messages: list[Message]) -> list[int]:
        """A chat up to where the assistant is to answer.

        Raises:
            RowDropped: the template does not take these roles.
        """
        try:
            return encode_chat(self.tokenizer, messages, add_generation_prompt=True)
        except TemplateRefused as error:
            raise RowDropped(TEMPLATE_REFUSED) from error

    def reference(self, row: Any) -> str:
        """The answer that is expected after `prompt_ids`."""
        if self.row_kind == "messages":
            return _up_to_last_answer(row)[-1]["content"]
        return str(_field(row, "completion"))

    def stop_ids(self) -> list[int]:
        """The tokens that end an answer: the end-of-text token, and what closes a turn of the template."""
        stops = [self.tokenizer.eos_token_id]
        if self.row_kind == "messages":
            with suppress(RowDropped):
                turn = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
                stops.append(self._marked({"messages": turn}).input_ids[-1])
        return list(dict.fromkeys(stops))

    def _marked(self, row: Any) -> MarkedChat:
        try:
            chat = mark_chat(self.tokenizer, _up_to_last_answer(row))
        except TemplateRefused as error:
            raise RowDropped(TEMPLATE_REFUSED) from error
        end = chat.spans[-1][1] if chat.spans else 0
        if end and chat.input_ids[end - 1] in set(self.tokenizer.all_special_ids):
            return MarkedChat(chat.input_ids[:end], chat.spans)
        # The template ends its turns without a special token: without this one the model would never stop.
        ids = [*chat.input_ids[:end], self.tokenizer.eos_token_id]
        return MarkedChat(ids, [*chat.spans[:-1], (chat.spans[-1][0], len(ids))] if chat.spans else [])

    def _cut(self, chat: MarkedChat) -> Rendered:
        limit = len(chat.input_ids) if self.max_length is None else self.max_length
        labels = [NO_LOSS] * len(chat.input_ids)
        for start, end in chat.spans:
            labels[start:end] = chat.input_ids[start:end]
        # The first token of a sequence is predicted from nothing, so it never carries loss.
        labels[:1] = [NO_LOSS]
        if all(label == NO_LOSS for label in labels[:limit]):
            raise RowDropped(PROMPT_TOO_LONG if len(chat.input_ids) > limit else TEMPLATE_REFUSED)
        return Rendered(chat.input_ids[:limit], labels[:limit], truncated=len(chat.input_ids) > limit)

    def _encode(self, text: str) -> list[int]:
        """Prompt and completion are encoded apart and joined, because in generation the prompt stands alone:
        encoded together, a token could reach across the border and training would see another prompt.
        Control tokens spelled out in a row are data, and stay text.
        """
        return list(self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))


def verify_mask(renderer: Renderer, rows: Sequence[Any]) -> None:
    """Check on real rows, before anything is trained, that the loss falls on the answers and nothing else.

    Raises:
        EmptyMask: no row can be rendered, a whole row carries loss, an answer's end token carries none, or
            the tokens that carry loss do not spell the answer.
    """
    checked = 0
    special = set(renderer.tokenizer.all_special_ids)
    for row in rows:
        try:
            rendered = renderer.render(row)
        except RowDropped:
            continue
        checked += 1
        if rendered.loss_tokens >= len(rendered.labels) - 1 and len(renderer.prompt_ids(row)) > 1:
            raise _bad_mask("every token of a row would carry loss, its prompt included")
        if rendered.truncated:
            continue
        if _last_loss_token(rendered) not in special:
            raise _bad_mask(
                "the token that ends an answer would carry no loss, so the model would never stop"
            )
        if not _spells(renderer.tokenizer, rendered, renderer.reference(row)):
            raise _bad_mask("the tokens that carry loss do not spell the answer")
    if rows and not checked:
        raise _bad_mask("none of the rows looked at has a token that carries loss")


def show(rendered: Rendered, tokenizer: Any) -> RenderedExample:
    """The row as text, the stretches with loss between ⟦ and ⟧, shortened to about 2,000 characters."""
    stretches = _stretches(rendered)
    budget = _SHOWN_CHARACTERS // max(1, len(stretches)) - 8
    parts = []
    for carries_loss, ids in stretches:
        text = _shorten(_printable(tokenizer.decode(ids, skip_special_tokens=False)), max(8, budget))
        parts.append(f"⟦{text}⟧" if carries_loss else text)
    return RenderedExample(
        tokens=len(rendered.input_ids),
        loss_tokens=rendered.loss_tokens,
        untrusted_text="".join(parts)[:_SHOWN_CHARACTERS],
    )


def _start_tokens(tokenizer: Any) -> list[int]:
    """What the tokenizer itself puts before a text: the beginning-of-text token, or nothing."""
    ids = tokenizer("a")["input_ids"]
    bos = tokenizer.bos_token_id
    return [bos] if bos is not None and ids[:1] == [bos] else []


def _field(row: Any, name: str) -> Any:
    return row[name] if isinstance(row, Mapping) else getattr(row, name)


def _up_to_last_answer(row: Any) -> list[Message]:
    messages = [
        {"role": str(_field(message, "role")), "content": str(_field(message, "content"))}
        for message in _field(row, "messages")
    ]
    while messages and messages[-1]["role"] != "assistant":
        messages.pop()
    if not messages:
        raise RowDropped(NO_ASSISTANT_TURN)
    return messages


def _last_loss_token(rendered: Rendered) -> int:
    return next(label for label in reversed(rendered.labels) if label != NO_LOSS)


def _stretches(rendered: Rendered) -> list[tuple[bool, list[int]]]:
    stretches: list[tuple[bool, list[int]]] = []
    for token, label in zip(rendered.input_ids, rendered.labels, strict=True):
        if not stretches or stretches[-1][0] != (label != NO_LOSS):
            stretches.append((label != NO_LOSS, []))
        stretches[-1][1].append(token)
    return stretches


def _spells(tokenizer: Any, rendered: Rendered, answer: str) -> bool:
    """Compared without white space and after the tokenizer's own round trip: it may normalise, and a chat
    template may trim or lead in with a word of its own."""
    ids = [ids for carries_loss, ids in _stretches(rendered) if carries_loss][-1]
    learned = tokenizer.decode(ids, skip_special_tokens=True)
    expected = tokenizer.decode(tokenizer.encode(answer, add_special_tokens=False, split_special_tokens=True))
    return "".join(learned.split()).endswith("".join(expected.split()))


def _printable(text: str) -> str:
    """Control and direction characters spelled out, so that a row cannot repaint a terminal."""
    return "".join(_escape(character) for character in text)


def _escape(character: str) -> str:
    if character in "\n\t":
        return character
    if character in "⟦⟧" or unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp"):
        return f"\\u{ord(character):04x}"
    return character


def _shorten(text: str, limit: int) -> str:
    """The middle gives way, because the ends show how the parts are joined."""
    return text if len(text) <= limit else f"{text[: limit * 2 // 3]} … {text[-(limit // 3) :]}"


def _bad_mask(what: str) -> EmptyMask:
    return EmptyMask(
        f"The loss mask is wrong: {what}.",
        "Look at the plan's example; raise max_length or load the data in another format; call configure_lora.",
    )

"""Rows as token ids and labels: exactly what the model sees, in training, evaluation and generation alike."""

from __future__ import annotations

import json
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
    Tools,
    encode_chat,
    install_template,
    mark_chat,
    takes_tools,
    tools_as_text,
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
    """One row. Both lists have the same length; a label is the token's own id, or NO_LOSS.

    `forgotten` counts the answers of a chat that carry no loss because the template rewrites them later.
    """

    input_ids: list[int]
    labels: list[int]
    truncated: bool = False
    forgotten: int = 0

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


@dataclass(frozen=True)
class _Chat:
    """A conversation up to its last answer that is learned, as the template is given it.

    `unlearned` are the places of assistant's messages that carry no loss.
    """

    messages: list[Message]
    tools: Tools
    unlearned: frozenset[int]

    @property
    def answers(self) -> int:
        """How many turns there are to learn. Messages in a row are one; a chat's first answers nothing."""
        learned = [
            message["role"] == "assistant" and place > 0 and place not in self.unlearned
            for place, message in enumerate(self.messages)
        ]
        return sum(now and not before for before, now in zip([False, *learned], learned, strict=False))


class Renderer:
    """Renders the rows of one dataset for one tokenizer; of a "mixed" one each row by its own kind.

    For chat rows a tokenizer without a template is given Tunesmith's. Tools and calls are handed to the template
    as transformers specifies, or written into the messages' text where the template does not know them.
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
            None
            if row_kind == "prompt_completion"
            else install_template(tokenizer, begins_with_bos=bool(self._start))
        )
        self._takes_tools: bool | None = None

    def render(self, row: Any) -> Rendered:
        """The row with its labels: the completion's tokens, or each assistant turn's, with the end token.

        Raises:
            RowDropped: there is nothing to learn from it.
        """
        if self.is_chat(row):
            chat = self._chat(row)
            marked = self._ended(chat)
            return self._cut(marked, forgotten=max(0, chat.answers - len(marked.spans)))
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
        if self.is_chat(row):
            chat = self._chat(row)
            return self.chat_prompt_ids(chat.messages[:-1], chat.tools)
        return [*self._start, *self._encode(_field(row, "prompt"))]

    def is_chat(self, row: Any) -> bool:
        """Whether a row is a conversation."""
        return self.row_kind == "messages" or (self.row_kind == "mixed" and bool(_field(row, "messages")))

    def chat_prompt_ids(self, messages: list[Message], tools: Tools | None = None) -> list[int]:
        """A chat up to where the assistant is to answer.

        Raises:
            RowDropped: the template does not take these roles.
        """
        try:
            return encode_chat(self.tokenizer, messages, add_generation_prompt=True, tools=tools)
        except TemplateRefused as error:
            raise RowDropped(TEMPLATE_REFUSED) from error

    def reference(self, row: Any) -> str:
        """The answer that is expected after `prompt_ids`. Calls are spelled as the template spells them.

        Raises:
            RowDropped: as `prompt_ids`.
        """
        if not self.is_chat(row):
            return str(_field(row, "completion"))
        last = self._chat(row).messages[-1]
        if "tool_calls" not in last:
            return str(last["content"])
        answer = self._marked(row).input_ids[len(self.prompt_ids(row)) :]
        return str(self.tokenizer.decode(answer, skip_special_tokens=True)).strip()

    def stop_ids(self) -> list[int]:
        """The tokens that end an answer: the end-of-text token, and what closes a turn of the template."""
        stops = [self.tokenizer.eos_token_id]
        if self.chat_template is not None:
            with suppress(RowDropped):
                turn = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
                stops.append(self._ended(_Chat(turn, [], frozenset())).input_ids[-1])
        return list(dict.fromkeys(stops))

    def _chat(self, row: Any) -> _Chat:
        turns = list(_field(row, "messages"))
        while turns and not (
            _field(turns[-1], "role") == "assistant" and _optional(turns[-1], "trains", True)
        ):
            turns.pop()
        if not turns:
            raise RowDropped(NO_ASSISTANT_TURN)
        messages = [_message(turn) for turn in turns]
        tools: Tools = json.loads(_optional(row, "tools", "") or "[]")
        unlearned = frozenset(
            place for place, turn in enumerate(turns) if not _optional(turn, "trains", True)
        )
        with_tools = bool(tools) or any("tool_calls" in turn or turn["role"] == "tool" for turn in messages)
        if with_tools and not self._knows_tools():
            messages, unlearned = tools_as_text(messages, tools, unlearned)
            tools = []
        return _Chat(messages, tools, unlearned)

    def _knows_tools(self) -> bool:
        if self._takes_tools is None:
            self._takes_tools = takes_tools(self.tokenizer)
        return self._takes_tools

    def _marked(self, row: Any) -> MarkedChat:
        return self._ended(self._chat(row))

    def _ended(self, asked: _Chat) -> MarkedChat:
        try:
            chat = mark_chat(self.tokenizer, asked.messages, tools=asked.tools, unlearned=asked.unlearned)
        except TemplateRefused as error:
            raise RowDropped(TEMPLATE_REFUSED) from error
        end = chat.spans[-1][1] if chat.spans else 0
        if end and chat.input_ids[end - 1] in set(self.tokenizer.all_special_ids):
            return MarkedChat(chat.input_ids[:end], chat.spans)
        # The template ends its turns without a special token: without this one the model would never stop.
        ids = [*chat.input_ids[:end], self.tokenizer.eos_token_id]
        return MarkedChat(ids, [*chat.spans[:-1], (chat.spans[-1][0], len(ids))] if chat.spans else [])

    def _cut(self, chat: MarkedChat, forgotten: int = 0) -> Rendered:
        limit = len(chat.input_ids) if self.max_length is None else self.max_length
        labels = [NO_LOSS] * len(chat.input_ids)
        for start, end in chat.spans:
            labels[start:end] = chat.input_ids[start:end]
        # The first token of a sequence is predicted from nothing, so it never carries loss.
        labels[:1] = [NO_LOSS]
        if all(label == NO_LOSS for label in labels[:limit]):
            raise RowDropped(PROMPT_TOO_LONG if len(chat.input_ids) > limit else TEMPLATE_REFUSED)
        return Rendered(
            chat.input_ids[:limit], labels[:limit], truncated=len(chat.input_ids) > limit, forgotten=forgotten
        )

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


def forgotten_answers(renderer: Renderer, rows: Iterable[Any]) -> list[str]:
    """A warning where the template keeps chats from being learned whole; nothing where it does not.

    Templates that strip the thinking of earlier turns (Qwen 3's does) show a model its earlier answers in another
    form than it writes them in: only the last can be learned.
    """
    rendered = renderer.render_all(rows).rows
    affected = [row for row in rendered if row.forgotten]
    if not affected:
        return []
    return [
        f"The model's chat template rewrites earlier answers, so only later ones are learned: {len(affected)} of "
        f"{len(rendered)} rows looked at lose {sum(row.forgotten for row in affected)} answers. To learn them all, "
        "load the data with each chat cut after each of its answers, or choose a base model with another template."
    ]


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


def _optional(row: Any, name: str, default: Any) -> Any:
    return row.get(name, default) if isinstance(row, Mapping) else getattr(row, name)


def _message(turn: Any) -> Message:
    """A turn as a chat template takes it: the arguments of a call are an object there."""
    message: Message = {"role": str(_field(turn, "role")), "content": str(_field(turn, "content"))}
    calls = json.loads(_optional(turn, "tool_calls", "") or "[]")
    if calls:
        message["tool_calls"] = [_call(call) for call in calls]
    for name in ("tool_call_id", "name"):
        if value := _optional(turn, name, ""):
            message[name] = value
    return message


def _call(call: dict[str, Any]) -> dict[str, Any]:
    function = dict(call["function"])
    with suppress(ValueError):
        arguments = json.loads(function["arguments"])
        if isinstance(arguments, dict):
            function["arguments"] = arguments
    return {**call, "function": function}


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
    if (
        len(ids) == len(rendered.input_ids) - 1
    ):  # an answer behind no prompt, whose first token carries no loss
        ids = rendered.input_ids
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

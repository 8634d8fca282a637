"""Chat rows as tokens with the assistant's turns marked, whatever the model's template offers for it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from jinja2.exceptions import TemplateError

Message = dict[str, Any]
Tools = list[dict[str, Any]]

TUNESMITH_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ '<|system|>\n' + message['content'] + '\n' }}"
    "{% elif message['role'] == 'user' %}{{ '<|user|>\n' + message['content'] + '\n' }}"
    "{% elif message['role'] == 'assistant' %}{{ '<|assistant|>\n' }}"
    "{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}"
    "{% if not loop.last %}{{ '\n' }}{% endif %}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
"""For tokenizers that come without a template. The role lines are plain text: no token has to be added."""

_PROBE = "tunesmithprobe"
_PROBE_CALL = {
    "type": "function",
    "function": {"name": f"{_PROBE}call", "arguments": {"a": "b"}},
    "id": "abcdefghi",
}
_PROBE_TOOLS: Tools = [
    {
        "type": "function",
        "function": {
            "name": f"{_PROBE}tool",
            "description": "d",
            "parameters": {"type": "object", "properties": {"a": {"type": "string", "description": "d"}}},
        },
    }
]
_PROBE_CHAT: list[Message] = [
    {"role": "user", "content": "a"},
    {"role": "assistant", "content": "", "tool_calls": [_PROBE_CALL]},
    {"role": "tool", "content": f"{_PROBE}result", "name": f"{_PROBE}call", "tool_call_id": "abcdefghi"},
    {"role": "assistant", "content": "c"},
]

_GENERATION_MARKER = re.compile(r"\{%-?\s*generation\b")


class TemplateRefused(Exception):
    """The template does not accept these messages, or gives no way to tell the assistant's turns apart."""


@dataclass(frozen=True)
class MarkedChat:
    """Token ids of a whole chat, and the half-open token spans that the assistant wrote."""

    input_ids: list[int]
    spans: list[tuple[int, int]]


def install_template(tokenizer: Any, *, begins_with_bos: bool) -> Literal["model", "tunesmith"]:
    """Give the tokenizer our template when it has none, and say whose template it has now."""
    if not tokenizer.chat_template:
        tokenizer.chat_template = ("{{ bos_token }}" if begins_with_bos else "") + TUNESMITH_TEMPLATE
    return "tunesmith" if tokenizer.chat_template.endswith(TUNESMITH_TEMPLATE) else "model"


def takes_tools(tokenizer: Any) -> bool:
    """Whether the template writes down tools, calls and their results: tried out, because none says so."""
    try:
        text = tokenizer.apply_chat_template(_PROBE_CHAT, tools=_PROBE_TOOLS, tokenize=False)
    except (TemplateError, NotImplementedError, TypeError, ValueError):
        return False
    return all(f"{_PROBE}{part}" in text for part in ("tool", "call", "result"))


def tools_as_text(
    messages: Sequence[Message], tools: Tools, unlearned: frozenset[int]
) -> tuple[list[Message], frozenset[int]]:
    """The messages for a template that knows nothing of tools, which stand in their text instead.

    The form is that of the Hermes function-calling models (github.com/NousResearch/Hermes-Function-Calling): the
    tools in the system message between <tools> tags, calls of the assistant between <tool_call> tags, results as
    a user's message between <tool_response> tags, those of parallel calls in one. `unlearned` and the second
    value are places of messages, as in `mark_chat`.
    """
    told: list[Message] = []
    silent: set[int] = set()
    if tools:
        listed = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
        told.append(
            {"role": "system", "content": f"You may call these functions:\n<tools>\n{listed}\n</tools>"}
        )
    for place, message in enumerate(messages):
        text = _as_text(message)
        if message["role"] == "tool" and place and messages[place - 1]["role"] == "tool":
            told[-1]["content"] += f"\n{text}"
        elif message["role"] == "system" and place == 0 and told:
            told[0]["content"] = f"{text}\n\n{told[0]['content']}"
        else:
            silent.update({len(told)} if place in unlearned else ())
            told.append({"role": "user" if message["role"] == "tool" else message["role"], "content": text})
    return told, frozenset(silent)


def _as_text(message: Message) -> str:
    content = str(message["content"])
    if message["role"] == "tool":
        return f"<tool_response>\n{content}\n</tool_response>"
    calls = [
        f"<tool_call>\n{json.dumps(call['function'], ensure_ascii=False)}\n</tool_call>"
        for call in message.get("tool_calls", ())
    ]
    return "\n".join([content, *calls] if content else calls)


def encode_chat(
    tokenizer: Any, messages: Sequence[Message], *, add_generation_prompt: bool, tools: Tools | None = None
) -> list[int]:
    """The chat as tokens. Control tokens spelled out in a message's text are encoded as that text.

    Raises:
        TemplateRefused: the template does not take these messages.
    """
    try:
        encoded = tokenizer.apply_chat_template(
            list(messages),
            tools=tools or None,
            add_generation_prompt=add_generation_prompt,
            tokenize=True,
            return_dict=True,
            sanitize_control_tokens=True,
        )
    except (TemplateError, NotImplementedError) as error:
        raise TemplateRefused(str(error)) from error
    return list(encoded["input_ids"])


def mark_chat(
    tokenizer: Any,
    messages: Sequence[Message],
    *,
    tools: Tools | None = None,
    unlearned: frozenset[int] = frozenset(),
) -> MarkedChat:
    """The chat as tokens with the assistant's turns marked; the last message must be the assistant's.

    `unlearned` are the places of messages that are not marked though the assistant wrote them.

    The template's generation markers say where the turns are. Where it has none, or where a row spells out
    control tokens (the two options exclude each other in transformers 5), growing prefixes of the chat do.

    Raises:
        TemplateRefused: the template does not take these messages, or the last turn cannot be told apart.
    """
    input_ids = encode_chat(tokenizer, messages, add_generation_prompt=False, tools=tools)
    if _GENERATION_MARKER.search(tokenizer.chat_template) and not unlearned:
        marked = tokenizer.apply_chat_template(
            list(messages),
            tools=tools or None,
            tokenize=True,
            return_dict=True,
            return_assistant_tokens_mask=True,
        )
        if list(marked["input_ids"]) == input_ids:
            spans = _spans_of_mask(list(marked["assistant_masks"]))
            return MarkedChat(
                input_ids, [(start, _with_end_token(tokenizer, input_ids, end)) for start, end in spans]
            )
    return MarkedChat(input_ids, _spans_of_prefixes(tokenizer, messages, input_ids, tools, unlearned))


def _spans_of_mask(mask: list[int]) -> list[tuple[int, int]]:
    padded = [0, *mask, 0]
    edges = [i for i in range(len(mask) + 1) if padded[i] != padded[i + 1]]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _with_end_token(tokenizer: Any, input_ids: list[int], end: int) -> int:
    """Some templates close the marker before the end-of-turn token; without it the model never stops."""
    special = set(tokenizer.all_special_ids)
    ended = end > 0 and input_ids[end - 1] in special
    return end + 1 if not ended and end < len(input_ids) and input_ids[end] in special else end


def _spans_of_prefixes(
    tokenizer: Any,
    messages: Sequence[Message],
    input_ids: list[int],
    tools: Tools | None,
    unlearned: frozenset[int],
) -> list[tuple[int, int]]:
    """A turn is what follows its generation prompt. Turns that the template rewrites later carry no loss."""
    special = set(tokenizer.all_special_ids)
    spans = []
    last_found = False
    for index, message in enumerate(messages):
        # A chat's very first message answers nothing, and no template can lead up to it.
        if message["role"] != "assistant" or index in unlearned or index == 0:
            continue
        head = encode_chat(tokenizer, messages[:index], add_generation_prompt=True, tools=tools)
        turn = encode_chat(tokenizer, messages[: index + 1], add_generation_prompt=False, tools=tools)
        last_found = turn[: len(head)] == head and input_ids[: len(turn)] == turn
        if not last_found:
            continue
        end = len(turn)
        while end > len(head) and input_ids[end - 1] not in special:
            end -= 1
        # What the template puts behind the end-of-turn token (a newline, mostly) is nothing to learn.
        spans.append((len(head), end if end > len(head) else len(turn)))
    if not last_found:
        raise TemplateRefused("the assistant's last turn cannot be told apart")
    return spans

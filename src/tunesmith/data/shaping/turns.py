"""Whatever holds a conversation, as messages in order."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.data.rows import Message
from tunesmith.data.shaping.calls import calls_text, parsed
from tunesmith.data.shaping.spellings import (
    ANSWERED,
    ASKED,
    CONTENT_KEYS,
    ROLE_KEYS,
    ROLES,
    plain,
    speaker_of,
)
from tunesmith.data.shaping.texts import Unfit, is_blank, text_of
from tunesmith.data.shaping.transcripts import read_transcript
from tunesmith.data.shaping.trees import best_path, is_tree

LITERAL_CHARACTERS = 1_000_000
"""The longest text that is read as a Python literal."""

_SHAPE_OF_KEY = {"role": "openai_messages", "from": "sharegpt"}


@dataclass(frozen=True, slots=True)
class Conversation:
    """`shape` names the form it was found in; `tools` is what lay beside the messages in a wrapper."""

    shape: str
    messages: list[Message]
    tools: Any = None


def conversation_of(value: Any, notes: list[str]) -> Conversation:
    """The conversation that a value holds.

    That is a list of turns ({role, content}, {from, value} and their relatives, {human, assistant} pairs, [question,
    answer] pairs, or texts that take turns), the same as JSON or as a Python literal, a transcript in one text,
    a reply tree, columns of roles and contents, or an object around one of these. Null and empty system
    messages are left out.

    Raises:
        Unfit: missing_field, empty, wrong_shape, unsupported_role, not_text or invalid_text.
    """
    if isinstance(value, str):
        return _from_text(value, notes)
    if isinstance(value, dict):
        return _from_object(value, notes)
    if value is None:
        raise Unfit("missing_field")
    if not isinstance(value, list):
        raise Unfit("wrong_shape")
    if not value:
        raise Unfit("empty")
    return _from_list(value, notes)


def looks_like_conversation(value: Any) -> bool:
    """Whether `conversation_of` has a chance with it; for choosing columns."""
    if isinstance(value, str):
        decoded = _decoded(value)
        return looks_like_conversation(decoded) if decoded is not None else read_transcript(value) is not None
    if isinstance(value, dict):
        return is_tree(value) or _inner(value) is not None or _columns_of(value) is not None
    if not isinstance(value, list) or not value:
        return False
    first = value[0]
    return isinstance(first, dict) and (_keys(first) is not None or bool(_named_turns(first)))


def _from_text(text: str, notes: list[str]) -> Conversation:
    if not text or text.isspace():
        raise Unfit("empty")
    decoded = _decoded(text)
    if decoded is not None:
        return conversation_of(decoded, notes)
    transcript = read_transcript(text)
    if transcript is None:
        raise Unfit("wrong_shape")
    name, turns = transcript
    return Conversation(name, [Message(role, text_of(content, notes)) for role, content in turns])


def _decoded(text: str) -> Any:
    """The list or object that a text spells as JSON or as a Python literal (as pandas writes cells), or None."""
    value = parsed(text)
    if value is None and text.lstrip()[:2] in ("[{", "['", '["') and len(text) <= LITERAL_CHARACTERS:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SyntaxWarning)
                value = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
    return value


def _from_object(value: dict[str, Any], notes: list[str]) -> Conversation:
    if is_tree(value):
        return Conversation("reply_tree", _messages(best_path(value), notes))
    inner = _inner(value)
    if inner is not None:
        found = conversation_of(inner, notes)
        return Conversation(found.shape, found.messages, value.get("tools") or value.get("functions"))
    turns = _columns_of(value)
    if turns is None:
        raise Unfit("wrong_shape")
    return _from_list(turns, notes)


def _inner(value: Mapping[str, Any]) -> Any:
    """The list that an object such as {"messages": [...]} is wrapped around, or None."""
    return next(
        (value[key] for key in value if plain(key) in ROLES["messages"] and isinstance(value[key], list)),
        None,
    )


def _columns_of(value: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """{"role": [...], "content": [...]} as turns, or None."""
    if _keys(value) is None or not all(isinstance(cells, list) for cells in value.values()):
        return None
    if len({len(cells) for cells in value.values()}) != 1:
        return None
    return [dict(zip(value, cells, strict=True)) for cells in zip(*value.values(), strict=True)]


def _from_list(turns: Sequence[Any], notes: list[str]) -> Conversation:
    first = turns[0]
    if isinstance(first, str):
        if len(turns) < 2:
            raise Unfit("wrong_shape")
        roles = ("user", "assistant")
        return Conversation(
            "alternating_turns",
            [Message(roles[at % 2], text_of(turn, notes)) for at, turn in enumerate(turns)],
        )
    if isinstance(first, list):
        return Conversation("history_pairs", [turn for pair in turns for turn in pair_of(pair, notes)])
    if not isinstance(first, dict):
        raise Unfit("wrong_shape")
    keys = _keys(first)
    if keys is None and _named_turns(first):
        return Conversation("paired_turns", [turn for each in turns for turn in _named(each, notes)])
    messages = _messages(turns, notes)
    if keys is not None and keys[0] == "speaker":
        messages = _dialogue_system(messages)
    if keys is not None and keys[1] == "parts":
        return Conversation("gemini", messages)
    return Conversation(_SHAPE_OF_KEY.get(keys[0], "speaker_turns") if keys else "openai_messages", messages)


def pair_of(pair: Any, notes: list[str]) -> list[Message]:
    """A [question, answer] pair.

    Raises:
        Unfit: wrong_shape, or what `text_of` says.
    """
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise Unfit("wrong_shape")
    return [Message("user", text_of(pair[0], notes)), Message("assistant", text_of(pair[1], notes))]


def _messages(turns: Sequence[Any], notes: list[str]) -> list[Message]:
    found = (_message(turn, notes) for turn in turns)
    return [message for message in found if message is not None]


def _message(turn: Any, notes: list[str]) -> Message | None:
    """One turn, or None for an empty system message, which says nothing."""
    if not isinstance(turn, dict):
        raise Unfit("wrong_shape")
    role_key, content_key = _keys(turn) or (None, None)
    speaker = turn.get(role_key) if role_key is not None else None
    if not isinstance(speaker, str):
        raise Unfit("wrong_shape")
    role = speaker_of(speaker)
    if role is None:
        raise Unfit("unsupported_role")
    content = turn.get(content_key) if content_key is not None else None
    if role == "call":
        return Message("assistant", "", tool_calls=calls_text(content), trains=_trains(turn))
    calls = turn.get("tool_calls") or turn.get("function_call")
    text = _content(content, notes, may_be_empty=role in ("system", "tool") or bool(calls))
    if role == "system":
        return Message("system", text) if text else None
    name = turn.get("name")
    if role == "tool":
        call_id = turn.get("tool_call_id")
        return Message(
            "tool", text, tool_call_id=str(call_id or ""), name=name if isinstance(name, str) else ""
        )
    return Message(
        role,
        text,
        tool_calls=calls_text(calls) if calls and role == "assistant" else "",
        name=name if isinstance(name, str) and role_key != "name" else "",
        trains=role != "assistant" or _trains(turn),
    )


def _keys(turn: Mapping[str, Any]) -> tuple[str, str | None] | None:
    """The keys that hold a turn's speaker and its content (None where that is missing), whatever their case."""
    if "role" in turn and "content" in turn:
        return "role", "content"
    by_name = {key.casefold(): key for key in turn}
    role_key = next((by_name[name] for name in ROLE_KEYS if name in by_name), None)
    if role_key is None:
        return None
    content_key = next((by_name[name] for name in CONTENT_KEYS if name in by_name), None)
    return role_key, content_key


def _content(value: Any, notes: list[str], *, may_be_empty: bool) -> str:
    """A turn's text: its own, or that of its parts, one after the other.

    Raises:
        Unfit: not_text where a part is an image or a sound, or what `text_of` says.
    """
    if isinstance(value, list):
        value = "\n".join(_part(part) for part in value)
    elif isinstance(value, dict):
        value = _part(value)
    if may_be_empty and is_blank(value):
        return ""
    return text_of(value, notes)


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, dict) and isinstance(part.get("text"), str):
        return str(part["text"])
    raise Unfit("not_text")


def _trains(turn: Mapping[str, Any]) -> bool:
    """Whether a turn carries loss: not where its `weight` is 0 or its `train` is false."""
    weight = turn.get("weight")
    if weight is not None and not isinstance(weight, bool):
        try:
            return float(weight) != 0
        except (TypeError, ValueError):
            return True
    return weight is not False and turn.get("train") is not False


def _named_turns(turn: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(role, key) of an object such as {"human": ..., "assistant": ...}; none where it is another object."""
    roles = {key: _named_role(plain(key)) for key in turn}
    found = [(role, key) for key, role in roles.items() if role is not None]
    found.sort(key=lambda pair: ("system", "user", "assistant").index(pair[0]))
    names = [role for role, _ in found]
    return found if len(set(names)) == len(names) and ("user" in names or "assistant" in names) else []


def _named_role(name: str) -> str | None:
    if name in ASKED:
        return "user"
    return "assistant" if name in ANSWERED else "system" if name == "system" else None


def _named(turn: Any, notes: list[str]) -> list[Message]:
    named = _named_turns(turn) if isinstance(turn, dict) else []
    if not named:
        raise Unfit("wrong_shape")
    texts = [(role, _content(turn[key], notes, may_be_empty=role == "system")) for role, key in named]
    return [Message(role, text) for role, text in texts if text]


def _dialogue_system(messages: list[Message]) -> list[Message]:
    """In task-oriented dialogues the two speakers are USER and SYSTEM: there the system is who answers."""
    roles = [message.role for message in messages]
    if "assistant" in roles or "user" not in roles or "system" not in roles[roles.index("user") :]:
        return messages
    return [Message("assistant", turn.content) if turn.role == "system" else turn for turn in messages]

"""Conversations written into one text, told by the marks that stand before each turn."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_ENDS = re.compile(r"(?:<\|endoftext\|>|</s>|<\|im_end\|>|<\|eot_id\|>|<\|end\|>|<end_of_turn>|<eos>)\s*\Z")


@dataclass(frozen=True)
class Style:
    """`mark` finds what stands before a turn; its group "who" is the speaker.

    `begins` says whether a text can be of this style at all; text before the first mark is a system message.
    """

    name: str
    mark: re.Pattern[str]
    begins: Callable[[str], bool]


def _starting(*marks: str) -> Callable[[str], bool]:
    return lambda text: text.startswith(marks)


_STYLES = (
    Style(
        "chatml",
        re.compile(r"<\|im_start\|>[ \t]*(?P<who>[\w-]+)[^\n]*\n"),
        _starting("<|im_start|>"),
    ),
    Style(
        "llama3_text",
        re.compile(r"<\|start_header_id\|>\s*(?P<who>[\w-]+)\s*<\|end_header_id\|>\s*"),
        _starting("<|begin_of_text|>", "<|start_header_id|>"),
    ),
    Style(
        "gemma_text",
        re.compile(r"<start_of_turn>[ \t]*(?P<who>\w+)\s*\n"),
        _starting("<bos>", "<start_of_turn>"),
    ),
    Style(
        "zephyr_text",
        re.compile(r"<\|(?P<who>system|user|assistant)\|>\s*"),
        _starting("<|system|>", "<|user|>"),
    ),
    Style(
        "transcript",
        re.compile(
            r"(?:\A|\n)[ \t]*#{2,3} ?(?P<who>System|Human|User|Assistant)\s*:[ \t]*"
            r"|(?<=[.!?)\"'`])#{3} ?(?P<glued>Human|Assistant):[ \t]*"
        ),
        _starting("### Human:", "### User:", "### System:", "## Human:", "## User:"),
    ),
    Style(
        "transcript",
        re.compile(r"(?:\A|\n\n)(?P<who>Human|Assistant|System):[ \t]?"),
        _starting("Human:", "System:"),
    ),
    Style(
        "transcript",
        re.compile(r"(?:\A|\s|(?<=</s>))(?P<who>SYSTEM|USER|ASSISTANT|FUNCTION RESPONSE):[ \t]*"),
        lambda text: text.startswith(("USER:", "SYSTEM:")) or " USER: " in text[:2000],
    ),
    Style(
        "transcript",
        re.compile(r"(?:\A|\n)[ \t]*(?P<who>User|Assistant|System|Bot|AI):[ \t]*"),
        _starting("User:", "System:"),
    ),
)  # fmt: skip
_LLAMA2_SYSTEM = re.compile(r"\s*<<SYS>>(.*?)<</SYS>>(.*)", re.DOTALL)
_ROLE = {
    "function response": "tool",
    "human": "user",
    "bot": "assistant",
    "ai": "assistant",
    "model": "assistant",
}
_KNOWN = {"system", "user", "assistant", "tool"}

Turn = tuple[str, str]


def read_transcript(text: str) -> tuple[str, list[Turn]] | None:
    """The style of a conversation in one text and its (role, content) turns; None where it is none.

    A conversation has a turn of the user and one of the assistant after it, and nobody unknown speaks.
    Marks and the end-of-turn tokens before them are form, not content.
    """
    stripped = text.strip()
    if stripped.startswith(("[INST]", "<s>[INST]", "<s> [INST]")):
        return _checked("llama2_text", _llama2_turns(stripped))
    for style in _STYLES:
        if (
            style.begins(stripped)
            and (found := _checked(style.name, _turns(stripped, style.mark))) is not None
        ):
            return found
    return None


def open_transcript(text: str) -> list[Turn] | None:
    """The turns of a prompt that ends where the assistant is to answer, or None."""
    found = read_transcript(f"{text.rstrip()} \N{WHITE SQUARE}")
    if found is None or found[1][-1] != ("assistant", "\N{WHITE SQUARE}"):
        return None
    return found[1][:-1]


def _turns(text: str, mark: re.Pattern[str]) -> list[Turn]:
    marks = list(mark.finditer(text))
    if not marks:
        return []
    lead = text[: marks[0].start()].removeprefix("<|begin_of_text|>").removeprefix("<bos>").strip()
    turns: list[Turn] = [("system", lead)] if lead else []
    for place, found in enumerate(marks):
        end = marks[place + 1].start() if place + 1 < len(marks) else len(text)
        who = next(name for name in found.groups() if name).casefold()
        turns.append((_ROLE.get(who, who), _ENDS.sub("", text[found.end() : end]).strip()))
    return turns


def _llama2_turns(text: str) -> list[Turn]:
    turns: list[Turn] = []
    for place, part in enumerate(text.split("[INST]")[1:]):
        question, _, answer = part.partition("[/INST]")
        if place == 0 and (system := _LLAMA2_SYSTEM.match(question)) is not None:
            turns.append(("system", system[1].strip()))
            question = system[2]
        answer = _ENDS.sub("", answer.strip().removesuffix("<s>")).strip()
        turns += [("user", question.strip()), ("assistant", answer)]
    return turns


def _checked(name: str, turns: list[Turn]) -> tuple[str, list[Turn]] | None:
    if turns and turns[-1][0] == "assistant" and not turns[-1][1]:
        turns.pop()
    roles = [role for role, _ in turns]
    sound = "user" in roles and "assistant" in roles[roles.index("user") :] and _KNOWN.issuperset(roles)
    return (name, turns) if sound else None

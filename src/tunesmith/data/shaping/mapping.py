"""A shape from what a caller said: roles mapped to columns, a template."""

from __future__ import annotations

from collections.abc import Mapping

from tunesmith.data.shaping.chats import ChatShape, HistoryShape
from tunesmith.data.shaping.choices import ChoicesShape
from tunesmith.data.shaping.detection import as_conversations, labelled, present
from tunesmith.data.shaping.pairs import PairShape, TemplateShape, TextShape
from tunesmith.data.shaping.placeholders import prompt_part, template_names
from tunesmith.data.shaping.preferences import PreferenceShape
from tunesmith.data.shaping.shape import Shape
from tunesmith.data.shaping.spellings import ROLES, WEAK_LABELS, plain
from tunesmith.data.shaping.view import View
from tunesmith.schemas.enums import DataFormat

_ANSWERS = ("response", "completion", "label", "chosen")
_ORDER = (
    "messages", "chosen", "rejected", "history", "tools", "system", "choices", "label", "text", "completion", "prompt",
    "response", "instruction", "input",
)  # fmt: skip
"""A name that several roles have belongs to the first of these."""


def roles_of(named: Mapping[str, str]) -> dict[str, str] | None:
    """What a caller named, by the roles' own names; None where a role is unknown or named twice."""
    roles: dict[str, str] = {}
    for name, column in named.items():
        role = _role(plain(name))
        if role is None or role in roles:
            return None
        roles[role] = column
    # "input" beside no instruction is a prompt, and "output" beside a prompt is its completion.
    if "input" in roles and "instruction" not in roles and not roles.keys() & {"prompt", "chosen", "history"}:
        roles["prompt"] = roles.pop("input")
    return roles


def mapped_shape(roles: Mapping[str, str], view: View, wanted: DataFormat | None) -> Shape | None:
    """The shape with these columns, its other roles filled by columns of usual names; None if it lacks one."""
    shape = _mapped(dict(roles), view, wanted)
    if shape is None or not set(roles.values()) <= set(shape.columns.values()):
        return None
    return as_conversations(shape) if wanted is DataFormat.CHAT else shape


def template_shape(
    template: str, roles: Mapping[str, str], view: View, wanted: DataFormat | None
) -> TemplateShape | list[str] | None:
    """The shape that a template gives; the placeholders that are no columns; or None without an answer's column."""
    answer = next((role for role in _ANSWERS if role in roles), None)
    column = roles[answer] if answer is not None else view.role("response") or view.role("chosen")
    if column is None:
        return None
    data_format = wanted or (DataFormat.COMPLETION if answer == "completion" else DataFormat.INSTRUCTION)
    learned = "completion" if data_format is DataFormat.COMPLETION else "response"
    known = {**{name: name for name in view.columns}, **roles}
    for role in ("response", "completion", "answer", "output"):
        known.setdefault(role, column)
    prompt = prompt_part(template, {name for name, source in known.items() if source == column})
    names = template_names(prompt)
    unknown = [name for name in names if name not in known]
    if unknown:
        return unknown
    return TemplateShape(
        "template",
        data_format,
        {learned: column},
        prompt,
        {name: known[name] for name in names},
        learned,
        numeric=view.numeric(),
    )


def _role(name: str) -> str | None:
    if name in _ORDER:
        return name
    if name in ROLES["summary"]:
        return "completion"
    if name in WEAK_LABELS and name != "target":
        return "label"
    found = next((role for role in _ORDER if name in ROLES[role]), None)
    return "prompt" if found is None and name in ROLES["source"] else found


def _mapped(roles: dict[str, str], view: View, wanted: DataFormat | None) -> Shape | None:
    if "chosen" in roles or "rejected" in roles:
        return _preference(roles, view)
    if "choices" in roles:
        return _choices(roles, view)
    if "history" in roles:
        columns = _as_instruction(roles)
        sound = columns.keys() <= {"history", "instruction", "input", "response", "system"}
        return (
            HistoryShape(columns) if sound and ("instruction" in columns) == ("response" in columns) else None
        )
    if "messages" in roles:
        columns = _as_instruction(roles)
        return ChatShape(columns) if columns.keys() <= {"messages", "response", "system", "tools"} else None
    if "label" in roles:
        text = roles.get("text") or roles.get("prompt") or roles.get("instruction")
        text = text or view.find_filled(ROLES["text"], "text", besides={roles["label"]})
        return None if text is None else labelled([text], roles["label"], view.numeric())
    if roles.keys() == {"text"} and wanted is not DataFormat.INSTRUCTION:
        return TextShape(roles)
    return _pair(roles, view, wanted)


def _as_instruction(roles: Mapping[str, str]) -> dict[str, str]:
    names = {"prompt": "instruction", "completion": "response"}
    return {names.get(role, role): column for role, column in roles.items()}


def _preference(roles: dict[str, str], view: View) -> Shape | None:
    if "instruction" in roles:
        roles["prompt"] = roles.pop("instruction")
    columns = present(
        prompt=roles.get("prompt") or view.find_filled(ROLES["instruction"], "text", "conversation"),
        input=roles.get("input") or view.find(("input",)),
        system=roles.get("system"),
        messages=roles.get("messages"),
        chosen=roles.get("chosen") or view.role("chosen", "text", "conversation"),
        rejected=roles.get("rejected") or view.role("rejected", "text", "conversation", "object"),
    )
    if "chosen" not in columns:
        return None
    talks = (
        any(view.kinds.get(column) == "conversation" for column in columns.values()) or "system" in columns
    )
    return PreferenceShape(
        DataFormat.CHAT if talks else DataFormat.INSTRUCTION, columns, conversational=talks
    )


def _choices(roles: dict[str, str], view: View) -> Shape | None:
    columns = present(
        instruction=roles.get("instruction") or roles.get("prompt"),
        choices=roles["choices"],
        response=roles.get("response") or roles.get("completion") or roles.get("label"),
    )
    return ChoicesShape(columns) if len(columns) == 3 else None


def _pair(roles: dict[str, str], view: View, wanted: DataFormat | None) -> Shape | None:
    as_completion = wanted is DataFormat.COMPLETION or (
        wanted is None
        and ("completion" in roles or ("prompt" in roles and "response" not in roles))
        and not roles.keys() & {"instruction", "input"}
    )
    question = roles.get("instruction") or roles.get("prompt") or roles.get("text")
    answer = roles.get("response") or roles.get("completion")
    besides = {column for column in (question, answer) if column is not None}
    asked, answered = ("prompt", "completion") if as_completion else ("instruction", "response")
    question = question or view.find((*ROLES[asked], *ROLES["instruction"]), besides=besides)
    answer = answer or view.find((*ROLES[answered], *ROLES["response"]), besides={*besides, question or ""})
    if question is None or answer is None:
        return None
    given = None
    if not as_completion:
        given = roles.get("input") or view.role("input", besides={question, answer})
    talks = bool(roles.keys() & {"system", "tools"}) and wanted is not DataFormat.INSTRUCTION
    columns: dict[str, str | None] = {asked: question, answered: answer, "input": given}
    columns |= {"system": roles.get("system"), "tools": roles.get("tools")}
    data_format = DataFormat.COMPLETION if as_completion else DataFormat.INSTRUCTION
    return PairShape(
        "prompt_completion" if as_completion else "instruction",
        DataFormat.CHAT if talks else data_format,
        present(**columns),
        numeric=view.numeric(),
        conversational=talks,
    )

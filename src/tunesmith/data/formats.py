"""Which column plays which role: formats are detected from column names and first rows, or mapped as told."""

from __future__ import annotations

import json
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tunesmith.schemas.datasets import RowKind
from tunesmith.schemas.enums import DataFormat
from tunesmith.schemas.errors import InvalidArgument, UnmappedColumns

# Role -> the names its column usually has, the role's own name first.
_SPELLINGS: dict[DataFormat, dict[str, tuple[str, ...]]] = {
    DataFormat.CHAT: {
        "messages": ("messages", "conversations", "conversation", "dialogue", "dialog", "chat"),
    },
    DataFormat.INSTRUCTION: {
        "instruction": ("instruction", "instructions", "question", "query", "task", "prompt"),
        "input": ("input", "inputs", "context"),
        "response": ("response", "output", "answer", "completion", "target", "reply", "outputs"),
    },
    DataFormat.COMPLETION: {
        "prompt": ("prompt", "input"),
        "completion": ("completion", "output"),
        "text": ("text",),
    },
}
_NEEDED: dict[DataFormat, tuple[tuple[str, ...], ...]] = {
    DataFormat.CHAT: (("messages",),),
    DataFormat.INSTRUCTION: (("instruction", "response"),),
    DataFormat.COMPLETION: (("prompt", "completion"), ("text",)),
}
_ANSWER = {DataFormat.INSTRUCTION: "response", DataFormat.COMPLETION: "completion"}
_LABELS = {"label", "labels", "category", "class", "intent", "sentiment", "target"}
_SHOWN_COLUMNS = 40
_SHOWN_CHARACTERS = 40


@dataclass(frozen=True)
class Layout:
    """The roles of a format and the source columns that play them.

    `placeholders` maps what stands between braces in `template` to source columns.
    """

    format: DataFormat
    columns: dict[str, str]
    template: str | None = None
    placeholders: dict[str, str] = field(default_factory=dict)

    @property
    def row_kind(self) -> RowKind:
        return "messages" if self.format is DataFormat.CHAT else "prompt_completion"


def find_layout(
    columns: Sequence[str],
    sample: Sequence[Mapping[str, Any]],
    source: str,
    wanted: DataFormat | Literal["auto"] = "auto",
    named: Mapping[str, str] | None = None,
    template: str | None = None,
) -> Layout:
    """The layout that the caller named, completed and checked against the columns, or the one detected.

    `named` maps roles (in any usual spelling) to columns. `sample` are some first rows.

    Raises:
        UnmappedColumns: no format fits, or a named column is not there.
        InvalidArgument: a role or the template cannot be used.
    """
    named = dict(named or {})
    missing = [column for column in named.values() if column not in columns]
    if missing:
        raise _unmapped(f"{source} has no column {shown(missing)}.", columns, source, wanted)
    if template is not None and wanted is DataFormat.CHAT:
        raise InvalidArgument(
            "A template writes a prompt, and chat rows have none.",
            "Call load_dataset again without template.",
        )
    candidates = _candidates(columns, sample, wanted, named, template is not None)
    for data_format in candidates:
        roles = _roles(data_format, columns, sample, named)
        needed = _NEEDED[data_format] if template is None else ((_ANSWER[data_format],),)
        for group in needed:
            if roles is not None and all(role in roles for role in group):
                return _layout(data_format, roles, group, columns, source, template)
    raise _unmapped(f"No format fits the columns of {source}.", columns, source, wanted)


def shown(names: Sequence[str]) -> str:
    """Column names for a message: quoted, shortened, not too many."""
    quoted = [
        json.dumps(name[:_SHOWN_CHARACTERS], ensure_ascii=False).encode("utf-8", "replace").decode()
        for name in names[:_SHOWN_COLUMNS]
    ]
    more = len(names) - len(quoted)
    return ", ".join(quoted) + (f" and {more} more" if more > 0 else "")


def _candidates(
    columns: Sequence[str],
    sample: Sequence[Mapping[str, Any]],
    wanted: DataFormat | Literal["auto"],
    named: Mapping[str, str],
    with_template: bool,
) -> list[DataFormat]:
    """The formats to try, likeliest first."""
    if wanted != "auto":
        return [wanted]
    if named:
        order = [DataFormat.INSTRUCTION, DataFormat.COMPLETION, DataFormat.CHAT]
        order.sort(key=lambda data_format: not named.keys() <= _SPELLINGS[data_format].keys())
        return [
            data_format for data_format in order if not (with_template and data_format is DataFormat.CHAT)
        ]
    if with_template:
        return [DataFormat.INSTRUCTION, DataFormat.COMPLETION]
    present = {_plain(column) for column in columns}
    order = []
    chat_column = _find(_SPELLINGS[DataFormat.CHAT]["messages"], columns)
    if chat_column is not None and any(_is_conversation(row.get(chat_column)) for row in sample):
        order.append(DataFormat.CHAT)
    pair_or_instruction = [DataFormat.INSTRUCTION, DataFormat.COMPLETION]
    if {"prompt", "completion"} <= present and "instruction" not in present:
        pair_or_instruction.reverse()
    # Text beside a label asks for a classifier: training on the text alone would not be what anybody meant.
    if "text" in present and present & _LABELS and _find_pair(columns) is None:
        pair_or_instruction.remove(DataFormat.COMPLETION)
    return order + pair_or_instruction


def _roles(
    data_format: DataFormat,
    columns: Sequence[str],
    sample: Sequence[Mapping[str, Any]],
    named: Mapping[str, str],
) -> dict[str, str] | None:
    """Role -> column: as named, the rest by usual spelling; None where the format has no such role."""
    spellings = _SPELLINGS[data_format]
    roles: dict[str, str] = {}
    for name, column in named.items():
        role = next((role for role, names in spellings.items() if name in (role, *names)), None)
        if role is None or role in roles:
            return None
        roles[role] = column
    for role, names in spellings.items():
        free = [column for column in columns if column not in roles.values()]
        if role not in roles and (found := _find(names, _filled(free, names, sample))) is not None:
            roles[role] = found
    return roles


def _layout(
    data_format: DataFormat,
    roles: Mapping[str, str],
    group: Sequence[str],
    columns: Sequence[str],
    source: str,
    template: str | None,
) -> Layout:
    if template is None:
        optional = ("input",) if data_format is DataFormat.INSTRUCTION else ()
        return Layout(
            data_format, {role: column for role, column in roles.items() if role in (*group, *optional)}
        )
    known = {**roles, **{column: column for column in columns}}
    names = template_names(template)
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UnmappedColumns(
            f"The template names {shown(unknown)}, and {source} has the columns: {shown(columns)}.",
            "Call load_dataset again with a template whose {placeholders} are columns ({{ is a brace).",
        )
    used = {name: known[name] for name in names}
    answer = _ANSWER[data_format]
    return Layout(data_format, {answer: roles[answer]}, template, used)


def template_names(template: str) -> list[str]:
    """The {placeholders} of a template, in order, each once.

    Raises:
        InvalidArgument: unbalanced braces, no placeholder, or one with a conversion or format.
    """
    recovery = 'Write a template such as "Translate: {text}\\n"; {{ and }} stand for braces.'
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise InvalidArgument("The template's braces do not match.", recovery) from error
    if any(spec or conversion for _, _, spec, conversion in parts):
        raise InvalidArgument("The template has a placeholder that is more than a column's name.", recovery)
    names = list(dict.fromkeys(name for _, name, _, _ in parts if name is not None))
    if not names or "" in names:
        raise InvalidArgument("The template has no {placeholder}, or an empty one.", recovery)
    return names


def _find(names: Sequence[str], columns: Sequence[str]) -> str | None:
    """The column with the first of these names that is there, whatever its case and word separators."""
    by_name = {_plain(column): column for column in reversed(columns)}
    return next((by_name[name] for name in names if name in by_name), None)


def _filled(columns: Sequence[str], names: Sequence[str], sample: Sequence[Mapping[str, Any]]) -> list[str]:
    """Of the columns so named, those that have a value in at least half as many rows as the fullest one."""
    counts = {
        column: sum(row.get(column) is not None for row in sample)
        for column in columns
        if _plain(column) in names
    }
    return [column for column, count in counts.items() if 2 * count >= max(counts.values())]


def _find_pair(columns: Sequence[str]) -> str | None:
    names = _SPELLINGS[DataFormat.COMPLETION]
    return _find(names["prompt"], columns) and _find(names["completion"], columns)


def _plain(column: str) -> str:
    return column.strip().casefold().replace(" ", "_").replace("-", "_")


def _is_conversation(value: Any) -> bool:
    if not isinstance(value, list) or not value or not isinstance(value[0], dict):
        return False
    return {"role", "content"} <= value[0].keys() or {"from", "value"} <= value[0].keys()


def _unmapped(
    what: str, columns: Sequence[str], source: str, wanted: DataFormat | Literal["auto"]
) -> UnmappedColumns:
    data_format = DataFormat.INSTRUCTION if wanted == "auto" else wanted
    guesses = list(_guesses(data_format, columns))
    call = json.dumps(dict(guesses), ensure_ascii=False).encode("utf-8", "replace").decode()
    return UnmappedColumns(
        f"{what} Its columns are: {shown(columns)}. Formats: instruction (instruction, response, perhaps "
        "input), chat (messages), completion (prompt and completion, or text).",
        f"Say which column is which, for example: load_dataset(source={json.dumps(source)}, "
        f'format="{data_format.value}", columns={call}), with the right columns.',
    )


def _guesses(data_format: DataFormat, columns: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each needed role with the column that plays it by name, else the next one that is free."""
    needed = _NEEDED[data_format][0]
    by_name = {role: _find(_SPELLINGS[data_format][role], columns) for role in needed}
    taken = {role: column for role, column in by_name.items() if column is not None}
    free = [column[:_SHOWN_CHARACTERS] for column in columns if column not in taken.values()]
    for role in needed:
        yield role, taken[role] if role in taken else (free.pop(0) if free else "NAME OF A COLUMN")

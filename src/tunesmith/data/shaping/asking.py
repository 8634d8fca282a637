"""Errors for columns that cannot be read: they list the columns and show a call that would do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from statistics import mean

from tunesmith.data.shaping.detection import is_labelled_document, is_single_turns
from tunesmith.data.shaping.spellings import ROLES, WEAK_LABELS
from tunesmith.data.shaping.view import View
from tunesmith.schemas.enums import DataFormat
from tunesmith.schemas.errors import UnmappedColumns

_SHOWN_COLUMNS = 40
_SHOWN_CHARACTERS = 40
_FORMATS = (
    "Formats: instruction (instruction, response, perhaps input and system), chat (messages, perhaps system and "
    "tools), completion (prompt and completion; or text; or text and label). Preference pairs: prompt, chosen, "
    "rejected."
)


def shown(names: Sequence[str]) -> str:
    """Column names for a message: quoted, shortened, not too many."""
    quoted = [
        json.dumps(name[:_SHOWN_CHARACTERS], ensure_ascii=False).encode("utf-8", "replace").decode()
        for name in names[:_SHOWN_COLUMNS]
    ]
    more = len(names) - len(quoted)
    return ", ".join(quoted) + (f" and {more} more" if more > 0 else "")


def unmapped(what: str, view: View, source: str, wanted: DataFormat | None) -> UnmappedColumns:
    """The error that a caller can act on. `what` happened is a sentence."""
    if wanted is None and is_single_turns(view):
        return UnmappedColumns(
            f"{what} Each row of {source} is a single turn of a conversation. Its columns are: {shown(view.columns)}.",
            'Join the turns of each conversation into one row {"messages": [{"role": ..., "content": ...}]} and call '
            "load_dataset again.",
        )
    guesses = dict(_guesses(view, wanted))
    call = json.dumps(guesses, ensure_ascii=False).encode("utf-8", "replace").decode()
    chosen = "" if wanted is None else f'format="{wanted.value}", '
    also = ""
    if wanted is None and is_labelled_document(view):
        also = ', or format="completion" with columns={"text": ...} to learn the texts themselves'
    return UnmappedColumns(
        f"{what} Its columns are: {shown(view.columns)}. {_FORMATS}",
        f"Say which column is which, for example: load_dataset(source={json.dumps(source)}, {chosen}columns={call})"
        f"{also}, with the right columns.",
    )


def _guesses(view: View, wanted: DataFormat | None) -> Iterator[tuple[str, str]]:
    """Roles with the columns that may play them: by name, else by what the columns hold."""
    if (pair := _translation(view)) is not None:
        yield from zip(("prompt", "completion"), pair, strict=True)
        return
    if wanted is None and (labels := _label_and_text(view)) is not None:
        yield from zip(("label", "text"), labels, strict=True)
        return
    roles = {
        DataFormat.CHAT: ("messages",),
        DataFormat.COMPLETION: ("prompt", "completion"),
    }.get(wanted or DataFormat.INSTRUCTION, ("instruction", "response"))
    named = {
        role: view.find(ROLES[role], "text", "number", "conversation", "strings", "list", "object")
        for role in roles
    }
    free = [column for column in _likeliest(view) if column not in named.values()]
    for role in roles:
        column = named[role] or (free.pop(0) if free else "NAME OF A COLUMN")
        yield role, column[:_SHOWN_CHARACTERS]


def _likeliest(view: View) -> list[str]:
    """The columns, those with text in sentences before the others."""
    return sorted(view.columns, key=lambda column: view.kinds[column] != "text" or _length(view, column) < 3)


def _length(view: View, column: str) -> float:
    return mean([len(str(value)) for value in view.values(column)] or [0])


def _translation(view: View) -> tuple[str, str] | None:
    """The first two languages of a column such as {"translation": {"en": ..., "fr": ...}}."""
    for column in view.columns:
        first = next(iter(view.values(column)), None)
        if (
            isinstance(first, dict)
            and len(first) >= 2
            and all(isinstance(text, str) for text in first.values())
        ):
            one, other, *_ = first
            return f"{column}.{one}", f"{column}.{other}"
    return None


def _label_and_text(view: View) -> tuple[str, str] | None:
    """A column of few short values beside one of many longer ones."""
    label = view.find_filled((*ROLES["label"], *WEAK_LABELS))
    texts = [column for column in view.columns if view.kinds[column] == "text" and column != label]
    if label is None and len(view.rows) >= 4:
        few = [column for column in view.columns if _has_few_values(view, column)]
        label = min(few, key=lambda column: _length(view, column), default=None)
    texts = [column for column in texts if column != label]
    if label is None or not texts:
        return None
    text = max(texts, key=lambda column: _length(view, column))
    return (label, text) if _length(view, text) > _length(view, label) else None


def _has_few_values(view: View, column: str) -> bool:
    values = [str(value) for value in view.values(column)]
    return view.kinds[column] in ("text", "number") and 1 < len(set(values)) <= len(values) // 2

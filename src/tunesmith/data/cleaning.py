"""Applying fixes to stored rows: which to leave out, and how to mend the text of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from msgspec import structs

from tunesmith.data.ingestion import Ledger
from tunesmith.data.parallel import Tell
from tunesmith.data.quality.catalogue import CHECKS, MENDED_KINDS
from tunesmith.data.quality.flags import Flags
from tunesmith.data.quality.labels import Labels
from tunesmith.data.quality.personal_data import PERSONAL_DATA_KINDS
from tunesmith.data.quality.repair import redact, repair, strip_html
from tunesmith.data.rows import Row, RowGroups, iter_tables, row_groups, rows_of
from tunesmith.schemas.enums import Fix

Mend = Callable[[str], str]


@dataclass(frozen=True)
class Recipe:
    """What to do with which rows. `drops` maps row numbers to the kind they are left out for; `mends` maps each
    mending fix to the row numbers it is for; `labels` maps a label to its usual spelling."""

    drops: Mapping[int, str]
    mends: Mapping[Fix, frozenset[int]]
    labels: Mapping[str, str]

    def between(self, first: int, last: int) -> Recipe:
        """The part of it that is about these row numbers, both included."""
        return Recipe(
            {row: kind for row, kind in self.drops.items() if first <= row <= last},
            {fix: frozenset(row for row in rows if first <= row <= last) for fix, rows in self.mends.items()},
            self.labels,
        )


def recipe_for(fixes: Sequence[Fix], found: Flags, rows: Path) -> Recipe:
    """The recipe that these fixes make of what the quality report found.

    Raises:
        UnreadableSource: the rows are missing or damaged.
    """
    drops: dict[int, str] = {}
    for check in CHECKS.values():
        if not any(fix.drops and fix in fixes for fix in check.fixes):
            continue
        for kind in check.kinds:
            for row in found.rows(kind).tolist():
                drops.setdefault(row, kind)
    mends = {
        fix: frozenset(found.rows_with_any(MENDED_KINDS[fix]).tolist()) for fix in fixes if not fix.drops
    }
    labels = _usual_labels(rows) if mends.get(Fix.UNIFY_LABELS) else {}
    return Recipe(drops, mends, labels)


def stored_sources(rows: Path, recipe: Recipe) -> list[CleanedRows]:
    """The stored rows in pieces, each with its part of the recipe.

    Raises:
        UnreadableSource: the rows are missing or damaged.
    """
    sources: list[CleanedRows] = []
    for piece in row_groups(rows):
        numbers = [number for table in piece.tables(["row"]) for number in table.column("row").to_pylist()]
        sources.append(CleanedRows(piece, recipe.between(numbers[0], numbers[-1])))
    return sources


@dataclass(frozen=True)
class CleanedRows:
    """A piece of stored rows, with a recipe applied; a `RowSource`."""

    piece: RowGroups
    recipe: Recipe

    def rows(self, ledger: Ledger, tell: Tell, limit: int | None) -> Iterator[Row]:
        """The rows that are left. Their numbers are those of the source that the dataset was first read from."""
        for table in self.piece.tables():
            for row in rows_of(table):
                ledger.read += 1
                if (kept := self._cleaned(row, ledger)) is not None:
                    yield kept
            tell(ledger.read / self.piece.rows)

    def _cleaned(self, row: Row, ledger: Ledger) -> Row | None:
        kind = self.recipe.drops.get(row.number)
        if kind is not None:
            ledger.dropped.add(kind, row.number)
            return None
        for fix, rows in self.recipe.mends.items():
            if row.number not in rows:
                continue
            mended = self._mended(row, fix)
            if mended != row:
                ledger.changed.add(fix.value, row.number)
                row = mended
        if not _teaches(row):
            ledger.dropped.add("empty", row.number)
            return None
        return row

    def _mended(self, row: Row, fix: Fix) -> Row:
        if fix is Fix.UNIFY_LABELS:
            return structs.replace(row, completion=self.recipe.labels.get(row.completion, row.completion))
        if fix is Fix.TRIM_SPACE:
            return _in_answers(row, str.strip)
        if fix is Fix.STRIP_HTML:
            return _without_html(row)
        return _everywhere(row, _MENDS[fix])


def _usual_labels(rows: Path) -> dict[str, str]:
    labels = Labels()
    for batch in iter_tables(rows, ["completion"]):
        for completion in batch.column("completion").to_pylist():
            if completion is None:
                labels.add_other()
            else:
                labels.add(completion, 0)
    return labels.variants() if labels.are_labels() else {}


def _mask_personal_data(text: str) -> str:
    return redact(text, PERSONAL_DATA_KINDS)[0]


def _mask_secrets(text: str) -> str:
    return redact(text, ("secret",))[0]


_MENDS: dict[Fix, Mend] = {
    Fix.REPAIR_TEXT: repair,
    Fix.MASK_PERSONAL_DATA: _mask_personal_data,
    Fix.MASK_SECRETS: _mask_secrets,
}


def _everywhere(row: Row, mend: Mend) -> Row:
    return structs.replace(
        row,
        prompt=_within(row.prompt, mend),
        completion=mend(row.completion),
        messages=tuple(replace(turn, content=mend(turn.content)) for turn in row.messages),
        rejected=mend(row.rejected),
    )


def _without_html(row: Row) -> Row:
    """Without the markup that nobody asked for: an answer keeps what its question is about."""
    messages, asked = [], ""
    for turn in row.messages:
        context = asked if turn.role == "assistant" else ""
        asked = turn.content if turn.role == "user" else asked
        messages.append(replace(turn, content=strip_html(turn.content, context)))
    return structs.replace(
        row,
        prompt=_within(row.prompt, strip_html),
        completion=strip_html(row.completion, row.prompt),
        messages=tuple(messages),
        rejected=strip_html(row.rejected, row.prompt),
    )


def _within(prompt: str, mend: Mend) -> str:
    """A prompt mended but for the space around it: where the answer begins is part of the form that is learned."""
    text = prompt.strip()
    start = prompt.index(text)
    return prompt[:start] + mend(text) + prompt[start + len(text) :]


def _in_answers(row: Row, mend: Mend) -> Row:
    return structs.replace(
        row,
        completion=mend(row.completion),
        messages=tuple(
            replace(turn, content=mend(turn.content)) if turn.role == "assistant" else turn
            for turn in row.messages
        ),
    )


def _teaches(row: Row) -> bool:
    """Whether an answer is left after mending."""
    if row.messages:
        return any(
            turn.content.strip() or turn.tool_calls for turn in row.messages if turn.role == "assistant"
        )
    return bool(row.completion.strip())

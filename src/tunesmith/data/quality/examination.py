"""One pass over stored rows, in several processes: every check that looks at rows one by one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from zlib import crc32

from tunesmith.data.parallel import Tell, collector_off, ordered_map
from tunesmith.data.quality.answer_checks import answer_kinds
from tunesmith.data.quality.answer_habits import AnswerHabits
from tunesmith.data.quality.diversity import TextSample
from tunesmith.data.quality.examples import exchanges, is_plain_text
from tunesmith.data.quality.flags import Flags
from tunesmith.data.quality.harmful import is_harmful
from tunesmith.data.quality.labels import Labels
from tunesmith.data.quality.languages import LanguageHabit
from tunesmith.data.quality.layout_habits import LayoutHabits
from tunesmith.data.quality.preferences import Preferences
from tunesmith.data.quality.text_checks import text_kinds
from tunesmith.data.quality.token_lengths import TokenLengths
from tunesmith.data.rows import Row, RowGroups, row_groups, rows_of

HABIT_ROWS = 300
"""Rows that tell which language a dataset is in."""
JUDGED_ROWS = 1_000
"""Rows whose language the model judges, chosen by their content: it looks at about 1,000 a second."""


@dataclass
class Findings:
    """What the pass found. `flags` holds kinds of rows; the others are what only the whole can tell."""

    flags: Flags = field(default_factory=Flags)
    labels: Labels = field(default_factory=Labels)
    habits: AnswerHabits = field(default_factory=AnswerHabits)
    layout: LayoutHabits = field(default_factory=LayoutHabits)
    prompts: TextSample = field(default_factory=TextSample)
    preferences: Preferences = field(default_factory=Preferences)
    tokens: list[int] = field(default_factory=list)

    def merge(self, other: Findings) -> None:
        """Add what another process found."""
        self.flags.merge(other.flags)
        self.labels.merge(other.labels)
        self.habits.merge(other.habits)
        self.layout.merge(other.layout)
        self.prompts.merge(other.prompts)
        self.preferences.merge(other.preferences)
        self.tokens += other.tokens

    def look_at(self, row: Row, language: LanguageHabit, judge_language: bool) -> None:
        """Check one row; with `judge_language` its language by the model, else only its script."""
        kinds = set(row.notes)
        asked = None
        differs = language.differs if judge_language else language.differs_in_script
        for exchange in exchanges(row):
            prompt, answer = exchange.prompt, exchange.answer
            found = answer_kinds(prompt, answer) | text_kinds(answer, prompt)
            # Of the answer alone: prompts are often what a model is to be kept from, and are not learned.
            if is_harmful(answer):
                found.add("harmful")
            self.habits.add(row.number, answer, found)
            kinds |= found
            if prompt is not asked:
                asked = prompt
                kinds |= text_kinds(prompt)
            if differs(prompt, answer):
                kinds.add("other_language")
        if row.messages or is_plain_text(row):
            self.labels.add_other()
        else:
            self.labels.add(row.completion, row.number)
            self.layout.add(row.completion, row.number)
        if row.rejected:
            self.preferences.add(row)
        self.prompts.add(asked or row.completion)
        for kind in kinds:
            self.flags.add(kind, row.number)

    def measure(self, row: Row, lengths: TokenLengths, counted: bool) -> None:
        """Look whether one row fits into a model's context, and with `counted` take down its length."""
        if lengths.passes_context(row):
            self.flags.add("over_context", row.number)
        if counted:
            self.tokens.append(lengths.count(row))


@dataclass(frozen=True)
class _Task:
    piece: RowGroups
    language: LanguageHabit
    lengths: TokenLengths | None
    judged_share: float


def examine(
    rows: Path, workers: int, progress: Callable[[float], None], lengths: TokenLengths | None = None
) -> Findings:
    """Look at every stored row; `progress` hears the share that is done. With `lengths` tokens are counted, of the rows
    that may not fit into the model's context and of those whose language is judged.

    Raises:
        UnreadableSource: the rows are missing or damaged.
    """
    pieces = row_groups(rows)
    total = sum(piece.rows for piece in pieces)
    habit = _language_of(pieces)
    tasks = [_Task(piece, habit, lengths, min(1.0, JUDGED_ROWS / total)) for piece in pieces]
    findings = Findings()
    for part in ordered_map(_examine_piece, tasks, workers, lambda done: progress(done / len(tasks))):
        findings.merge(part)
    return findings


def language_note(rows: int) -> str | None:
    """What the report has to say about how languages were looked at."""
    if rows <= JUDGED_ROWS:
        return None
    return f"the language was judged on a sample of about {JUDGED_ROWS:,} rows, the script on all"


def _language_of(pieces: list[RowGroups]) -> LanguageHabit:
    """The habit of the dataset, from rows all over it."""
    each = max(1, HABIT_ROWS // len(pieces))
    sample = []
    for piece in pieces:
        with closing(piece.tables()) as tables:
            table = next(tables)
        for row in rows_of(table.slice(0, each)):
            sample += [(one.prompt, one.answer) for one in islice(exchanges(row), 1)]
    return LanguageHabit.of(sample)


def _examine_piece(task: _Task, tell: Tell) -> Findings:
    findings = Findings()
    done = 0
    judged_below = round(task.judged_share * 2**32)
    with collector_off():
        for batch in task.piece.tables():
            for row in rows_of(batch):
                judged = judged_below >> 32 or crc32(row.content()) < judged_below
                findings.look_at(row, task.language, bool(judged))
                if task.lengths is not None:
                    findings.measure(row, task.lengths, bool(judged))
            done += len(batch)
            tell(done / task.piece.rows)
    return findings

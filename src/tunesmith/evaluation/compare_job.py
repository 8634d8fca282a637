"""The job behind compare_models: what two models write for the same prompts, in an order that nobody is told."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from tunesmith.data.rows import Row
from tunesmith.evaluation.dev_split import exploring_rows
from tunesmith.evaluation.generation import Decoding, Prompt, Written, context_tokens, generate, stop_ids
from tunesmith.evaluation.golden import read_half
from tunesmith.evaluation.kept_subject import kept_subject
from tunesmith.evaluation.looks import candidate_of, record_look
from tunesmith.evaluation.measurement import MAX_ANSWER_TOKENS, Progress, answer_room, row_limit
from tunesmith.evaluation.notes import lineage_notes
from tunesmith.evaluation.seen_rows import seen_rows
from tunesmith.evaluation.subject import Subject
from tunesmith.evaluation.wrapping import Wrapper, require_room
from tunesmith.jobs import clock
from tunesmith.jobs.context import JobContext
from tunesmith.jobs.scrub import scrub
from tunesmith.schemas.comparisons import AnswerPair, AnswerPairs, CompareRequest
from tunesmith.schemas.datasets import GoldenSetCard
from tunesmith.schemas.enums import Half
from tunesmith.schemas.errors import EmptyMask, NoRows
from tunesmith.schemas.evaluations import ModelReference
from tunesmith.training.failures import training_failures
from tunesmith.training.rendering import Renderer, RowDropped

MOST_PAIRS = 50
ANSWER_TOKENS = 256
"""What an answer to a prompt without a reference may have."""
_STORED_CHARACTERS = 4000


@dataclass(frozen=True)
class _Task:
    """What is asked of both models: prompts as a user would write them, or rows of a golden set."""

    prompts: list[str]
    rows: list[Row]
    card: GoldenSetCard | None

    def __len__(self) -> int:
        return len(self.rows or self.prompts)


@dataclass(frozen=True)
class _Answers:
    """What one model wrote, None where it cannot be asked; the references as it spells them; whether answers were cut,
    which would tell whose they are."""

    written: list[Written | None]
    references: list[str | None]
    notes: list[str]
    cut: list[str]


def run(job: JobContext) -> AnswerPairs:
    """Let both models answer, one after the other, greedily, and draw for each pair which answer is shown first.

    Prompts are wrapped as generate_text wraps them. Of a golden set at most `MOST_PAIRS` rows are asked, the same
    ones each time, of that part of the dev half whose texts may be shown (see `dev_split`). Runs are put on the
    half's record of looks, because votes are scores of these rows too.

    Raises:
        InvalidArgument: a prompt leaves no room in a model's context.
        UnknownHandle, NotReady, NoRows, UnreadableSource: the golden set; see `evaluation.golden`.
        EmptyMask: no row can be given to both models.
        Stopped: a stop was requested.
        OutOfMemory, and what `evaluation.subject` raises about the models.
    """
    with training_failures(job.paths.folder, "Compare smaller models, or fewer or shorter prompts."):
        return _compare(job)


def _compare(job: JobContext) -> AnswerPairs:
    request = job.request(CompareRequest)
    task = _task(job, request)
    progress = Progress(job, 2 * len(task))
    a = _answers(job, request.a, task, progress)
    b = _answers(job, request.b, task, progress)
    pairs = _pairs(task, a, b)
    left_out = len(task) - len(pairs)
    notes = [*a.notes, *b.notes]
    if left_out:
        notes.append(f"{left_out} rows could not be given to both models and are left out.")
    _record_looks(job, request)
    return AnswerPairs(
        comparison_id=job.handle,
        a=request.a.name,
        b=request.b.name,
        golden_set_id=request.golden_set_id,
        pairs=pairs,
        notes=notes,
        afterwards=[*a.cut, *b.cut],
        created_at=clock.timestamp(),
    )


def _task(job: JobContext, request: CompareRequest) -> _Task:
    if request.golden_set_id is None:
        return _Task(request.prompts, [], None)
    card, rows = read_half(job.store, request.golden_set_id, Half.DEV)
    known = {row.number: row for row in rows}
    chosen = exploring_rows(known, card.golden_set_id, Half.DEV)[:MOST_PAIRS]
    if not chosen:
        raise NoRows(
            f"The dev half of {card.golden_set_id} has no rows that may be shown.",
            "Call compare_models with prompts, or build_golden_set with a larger size.",
        )
    rows = [known[number] for number in sorted(chosen)]
    return _Task([], rows, card)


def _answers(job: JobContext, model: ModelReference, task: _Task, progress: Progress) -> _Answers:
    job.phase(f"loading {model.name}")
    subject = kept_subject(job.store, model)
    job.phase(f"writing the answers of {model.name}")
    if task.card is None:
        return _to_prompts(subject, task.prompts, progress)
    return _to_rows(subject, task.card, task.rows, progress)


def _to_prompts(subject: Subject, prompts: Sequence[str], progress: Progress) -> _Answers:
    wrapper = Wrapper(progress.job.store, subject)
    asked = [Prompt(wrapper.ids(prompt), ANSWER_TOKENS) for prompt in prompts]
    require_room([prompt.ids for prompt in asked], context_tokens(subject.model))
    written = _write(subject, asked, wrapper.stop_ids(), progress)
    return _Answers([*written], [None] * len(prompts), [], _cut(subject, written))


def _to_rows(subject: Subject, card: GoldenSetCard, rows: Sequence[Row], progress: Progress) -> _Answers:
    limit = row_limit(subject.model)
    renderer = Renderer(subject.tokenizer, card.row_kind, limit)
    asked: dict[int, Prompt] = {}
    references: list[str | None] = [None] * len(rows)
    for place, row in enumerate(rows):
        try:
            ids, references[place] = renderer.prompt_ids(row), renderer.reference(row)
        except RowDropped:
            continue
        tokens = len(subject.tokenizer.encode(references[place], add_special_tokens=False))
        if len(ids) < limit:
            asked[place] = Prompt(ids, min(MAX_ANSWER_TOKENS, answer_room(tokens)))
    stops = sorted({*stop_ids(subject.model, subject.tokenizer), *renderer.stop_ids()})
    texts = _write(subject, list(asked.values()), stops, progress)
    written = dict(zip(asked, texts, strict=True))
    notes: list[str] = []
    if subject.plan is not None:
        notes = lineage_notes(subject.plan, card, seen_rows(progress.job, subject.plan, card, Half.DEV))
    answers = [written.get(place) for place in range(len(rows))]
    return _Answers(answers, references, notes, _cut(subject, texts))


def _write(
    subject: Subject, prompts: Sequence[Prompt], stops: Sequence[int], progress: Progress
) -> list[Written]:
    return generate(
        subject.model,
        subject.tokenizer,
        prompts,
        Decoding(stops),
        on_batch=progress,
        interrupted=progress.job.stop_requested,
    )


def _cut(subject: Subject, written: Sequence[Written]) -> list[str]:
    cut = sum(answer.stopped == "length" for answer in written)
    return [f"{cut} answers of {subject.name} did not end by themselves and were cut."] if cut else []


def _pairs(task: _Task, a: _Answers, b: _Answers) -> list[AnswerPair]:
    """The prompts that both models answered, numbered from 1, with as many of a's answers first as of b's.

    Raises:
        EmptyMask: there are none.
    """
    both = [
        (place, one, other)
        for place, (one, other) in enumerate(zip(a.written, b.written, strict=True))
        if one is not None and other is not None
    ]
    if not both:
        raise EmptyMask(
            "None of the rows can be given to both models.",
            "Compare models with a longer context, or build a golden set of shorter rows.",
        )
    orders = [place % 2 == 0 for place in range(len(both))]
    secrets.SystemRandom().shuffle(orders)
    return [
        AnswerPair(
            pair=number,
            untrusted_prompt=scrub(
                task.prompts[place] if task.prompts else _asked(task.rows[place]), _STORED_CHARACTERS
            ),
            untrusted_reference=None
            if (text := a.references[place]) is None
            else scrub(text, _STORED_CHARACTERS),
            untrusted_a=scrub(one.text, _STORED_CHARACTERS),
            untrusted_b=scrub(other.text, _STORED_CHARACTERS),
            a_first=first,
        )
        for number, ((place, one, other), first) in enumerate(zip(both, orders, strict=True), start=1)
    ]


def _asked(row: Row) -> str:
    """What stands before the answer in question, as text."""
    if not row.messages:
        return row.prompt
    turns = list(row.messages)
    while turns and not (turns[-1].role == "assistant" and turns[-1].trains):
        turns.pop()
    before = turns[:-1]
    if [turn.role for turn in before] == ["user"]:
        return before[0].content
    return "\n\n".join(f"{turn.role}: {turn.content}" for turn in before)


def _record_looks(job: JobContext, request: CompareRequest) -> None:
    if request.golden_set_id is None:
        return
    job.check_current()
    path = job.store.handle(request.golden_set_id).looks(Half.DEV)
    for model in (request.a, request.b):
        if model.kind == "run":
            record_look(path, candidate_of(model, None), job.handle, model.name)

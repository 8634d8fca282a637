"""The job behind evaluate_model: a model's scores on one half of a golden set, and its base's beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunesmith.evaluation import row_scores
from tunesmith.evaluation.between import best_so_far, standing
from tunesmith.evaluation.classification import confusion
from tunesmith.evaluation.comparison import compare
from tunesmith.evaluation.generation import stop_ids
from tunesmith.evaluation.golden import GoldenRow, GoldenRows, put_before, read_half, render_rows
from tunesmith.evaluation.grading import Grader
from tunesmith.evaluation.looks import candidate_of, record_look
from tunesmith.evaluation.measurement import Measured, Progress, answerable, measure, row_limit
from tunesmith.evaluation.metric_choice import Choice, choose_metrics, require_known
from tunesmith.evaluation.metrics import RowScore, aggregate, targets
from tunesmith.evaluation.notes import half_notes, row_notes, run_notes
from tunesmith.evaluation.opened import opened_before
from tunesmith.evaluation.side_effects import findings, retention_of, retention_rows
from tunesmith.evaluation.subject import load_subject
from tunesmith.evaluation.worst import worst_examples
from tunesmith.jobs import clock
from tunesmith.jobs.context import JobContext
from tunesmith.jobs.files import write_bytes
from tunesmith.schemas.enums import Half
from tunesmith.schemas.errors import EmptyMask, InvalidArgument
from tunesmith.schemas.evaluations import Confusion, EvaluateRequest, Evaluation, Retention
from tunesmith.training.failures import training_failures
from tunesmith.training.rendering import Renderer


def run(job: JobContext) -> Evaluation:
    """Score the model; a run is compared with its own base on the same rows, rendered by the run's tokenizer.

    Rows are rendered whole, as far as the model's context goes, whatever `max_length` the training had: so
    runs with different plans are scored on the same tokens. A candidate (a run, or any model behind a prompt) is
    put on the half's record of looks before its scores are told; the test half is opened once for each, and asked
    again it answers with what came out then.

    Raises:
        InvalidArgument: an unknown metric, or one that does not fit the data.
        UnknownHandle, NotReady, NoRows, UnreadableSource: the golden set; see `evaluation.golden`.
        EmptyMask: no row can be given to the model.
        Stopped: a stop was requested; nothing is left behind.
        OutOfMemory, and what `evaluation.subject` raises about the model.
    """
    with training_failures(job.paths.folder, "Evaluate a smaller model, or a golden set of shorter rows."):
        return _evaluate(job)


def _evaluate(job: JobContext) -> Evaluation:
    request = job.request(EvaluateRequest)
    require_known(request.metrics)
    card, stored = read_half(job.store, request.golden_set_id, request.half)
    known = opened_before(job, request)
    if known is not None:
        return known
    job.phase("loading the model")
    subject = load_subject(job.store, request.model)
    limit = row_limit(subject.model)
    renderer = Renderer(subject.tokenizer, card.row_kind, limit)
    golden = render_rows(renderer, put_before(renderer, stored, request.prompt) if request.prompt else stored)
    rows = _require_rows(golden, request, limit)
    choice = choose_metrics(
        request.metrics, [row.reference for row in rows], [row.reference_tokens for row in rows]
    )
    answers = _answerable(rows, choice, limit)
    grader = Grader(choice.metrics, [rows[place].reference for place in answers])
    stops = sorted({*stop_ids(subject.model, subject.tokenizer), *renderer.stop_ids()})

    general = [] if subject.plan is None else retention_rows(job.store, card, subject.tokenizer, limit)
    passes = 1 if subject.plan is None else 2
    progress = Progress(job, passes * (len(rows) + len(answers) + len(general)))
    job.phase("scoring the model" if subject.plan is None else "scoring the tuned model")
    tuned = measure(subject.model, subject.tokenizer, rows, answers, grader, stops, progress)
    kept = measure(subject.model, subject.tokenizer, general, [], grader, stops, progress).rows
    base: list[RowScore] | None = None
    retention: Retention | None = None
    if subject.plan is not None:
        job.phase("scoring its base on the same rows")
        with subject.base(subject.plan) as model:
            base = measure(model, subject.tokenizer, rows, answers, grader, stops, progress).rows
            before = measure(model, subject.tokenizer, general, [], grader, stops, progress).rows
        retention = retention_of(before, kept)

    write_bytes(job.paths.row_scores, row_scores.to_bytes(tuned.rows, base))
    look = _look(job, request)
    scores = aggregate(tuned.rows, choice.metrics)
    comparison = None if base is None else compare(base, tuned.rows, choice.metrics, look or 1)
    notes = [] if subject.plan is None else run_notes(subject.plan, subject.outcome, card)
    return Evaluation(
        evaluation_id=job.handle,
        model=subject.name,
        golden_set_id=request.golden_set_id,
        half=request.half,
        prompt=request.prompt,
        rows=len(rows),
        metrics_because=choice.because,
        scores=scores,
        baseline=None if base is None else aggregate(base, choice.metrics),
        comparison=comparison,
        retention=retention,
        findings=[]
        if base is None
        else findings(job.store, subject, card, stored, base, tuned.rows, retention),
        confusion=_confusion(tuned, grader),
        targets=targets(scores, None if comparison is None else comparison.verdict == "improved"),
        # What is seen of the test half is no longer held out, so its rows are not shown.
        worst=worst_examples(subject.tokenizer, rows, tuned.rows, tuned.written, choice.metrics)
        if request.half is Half.DEV
        else [],
        notes=[
            *notes,
            *row_notes(golden, answers if choice.written else None, limit),
            *half_notes(request.half, look),
            *_standing(job, request, tuned, look),
        ],
        created_at=clock.timestamp(),
    )


def _require_rows(golden: GoldenRows, request: EvaluateRequest, limit: int) -> list[GoldenRow]:
    if not golden.rows:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(golden.dropped.items()))
        raise EmptyMask(
            f"None of the rows of {request.golden_set_id} can be given to the model within {limit} tokens "
            f"({reasons}).",
            "Use a model with a longer context, or build a golden set of shorter rows.",
        )
    return golden.rows


def _answerable(rows: Sequence[GoldenRow], choice: Choice, limit: int) -> list[int]:
    """Places of the rows that answers are written for; none where every metric is read."""
    if not choice.written:
        return []
    places = answerable(rows, limit)
    if not places:
        raise InvalidArgument(
            f"No answer can be written for {', '.join(choice.written)}: every reference is too long, "
            f"or does not fit behind its prompt into {limit} tokens.",
            'Call evaluate_model with metrics=["loss", "bits_per_byte"].',
        )
    return places


def _look(job: JobContext, request: EvaluateRequest) -> int | None:
    """Which candidate on this half it is; None for a plain base model, of which nothing is claimed."""
    if request.model.kind != "run" and not request.prompt:
        return None
    job.check_current()
    path = job.store.handle(request.golden_set_id).looks(request.half)
    return record_look(path, candidate_of(request.model, request.prompt), job.handle, request.model.name)


def _standing(job: JobContext, request: EvaluateRequest, tuned: Measured, look: int | None) -> list[str]:
    """How a candidate compares with the best one before it on these rows."""
    if look is None:
        return []
    candidate = candidate_of(request.model, request.prompt)
    best = best_so_far(job.store, request.golden_set_id, request.half, candidate)
    told = None if best is None else standing(job.store, *best, tuned.rows, look)
    return [] if told is None else [told]


def _confusion(measured: Measured, grader: Grader) -> Confusion | None:
    if grader.labels is None:
        return None
    known = [
        (row.label, row.predicted)
        for row in measured.rows
        if row.label is not None and row.predicted is not None
    ]
    pairs = np.array(known, dtype=np.int64)
    return confusion(pairs[:, 0], pairs[:, 1], grader.labels.names)

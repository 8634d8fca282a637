"""The job behind evaluate_model: a model's scores on one half of a golden set, and its base's beside them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

import numpy as np

from tunesmith.data.rows import Row
from tunesmith.evaluation import benchmarking, row_scores
from tunesmith.evaluation.benchmark_scores import split_metrics
from tunesmith.evaluation.between import best_so_far, standing
from tunesmith.evaluation.classification import confusion
from tunesmith.evaluation.comparison import RUN_AND_BASE, WITH_AND_WITHOUT, compare
from tunesmith.evaluation.dev_split import deciding_rows
from tunesmith.evaluation.examiner import Examiner
from tunesmith.evaluation.golden import read_half
from tunesmith.evaluation.grading import Grader
from tunesmith.evaluation.leaderboard import leaderboard
from tunesmith.evaluation.looks import candidate_of, record_look
from tunesmith.evaluation.metric_choice import require_known
from tunesmith.evaluation.metrics import RowScore, aggregate, targets
from tunesmith.evaluation.notes import answer_notes, half_notes, row_notes, run_notes, variant_notes
from tunesmith.evaluation.opened import opened_before
from tunesmith.evaluation.prompt_search import goal_of, search_prompts
from tunesmith.evaluation.seen_rows import seen_rows, trusted
from tunesmith.evaluation.side_effects import findings
from tunesmith.evaluation.sides import measure_sides
from tunesmith.evaluation.subject import Subject, load_subject
from tunesmith.evaluation.worst import worst_examples
from tunesmith.jobs import clock
from tunesmith.jobs.context import JobContext
from tunesmith.jobs.files import write_bytes
from tunesmith.schemas.datasets import GoldenSetCard
from tunesmith.schemas.evaluations import (
    CandidateKind,
    Comparison,
    Confusion,
    EvaluateRequest,
    Evaluation,
    PromptSearch,
    PromptVariant,
)
from tunesmith.training.failures import training_failures


def run(job: JobContext) -> Evaluation:
    """Score the model; a run is compared with its own base on the same rows, rendered by the run's tokenizer.

    Rows are rendered whole, as far as the model's context goes, whatever `max_length` the training had: so
    runs with different plans are scored on the same tokens. A candidate (a run, or any model behind a prompt) is
    put on the half's record of looks before its scores are told; the test half is opened once for each, and asked
    again it answers with what came out then. Of several prompts the best is searched for on the exploring rows of the
    dev half; prompts are judged on its deciding rows alone (see `dev_split`).

    Raises:
        InvalidArgument: an unknown metric, or one that does not fit the data.
        UnknownHandle, NotReady, NoRows, UnreadableSource: the golden set; see `evaluation.golden`.
        EmptyMask: no row can be given to the model.
        Stopped: a stop was requested; nothing is left behind.
        OutOfMemory, and what `evaluation.subject` raises about the model.
    """
    try:
        with training_failures(
            job.paths.folder, "Evaluate a smaller model, or a golden set of shorter rows."
        ):
            return _evaluate(job)
    finally:
        shutil.rmtree(job.scratch, ignore_errors=True)


def _evaluate(job: JobContext) -> Evaluation:
    request = job.request(EvaluateRequest)
    require_known(request.metrics)
    card, stored = read_half(job.store, request.golden_set_id, request.half)
    known = opened_before(job, request)
    if known is not None:
        return known
    named, asked = split_metrics(request.metrics)
    request = request.model_copy(update={"metrics": named})
    benchmarks = benchmarking.prepare(job, asked)
    job.phase("loading the model")
    subject = load_subject(job.store, request.model)
    examiner = Examiner(job, subject, card, stored, request.metrics, request.variants)
    search = None
    if len(request.variants) > 1:
        job.phase(f"searching {len(request.variants)} prompts")
        goal = goal_of(request.metrics)
        variant, search = search_prompts(job, examiner, card, request.variants, goal)
        request = request.model_copy(update={"variants": [variant]})
    found = _evaluation(job, request, card, stored, examiner, search)
    return benchmarking.with_benchmarks(job, found, subject, benchmarks)


def _evaluation(
    job: JobContext,
    request: EvaluateRequest,
    card: GoldenSetCard,
    stored: Sequence[Row],
    examiner: Examiner,
    search: PromptSearch | None,
) -> Evaluation:
    """Scores of the one variant, or of the bare model, that is in the request."""
    subject, metrics = examiner.subject, examiner.choice.metrics
    seen = None if subject.plan is None else seen_rows(job, subject.plan, card, request.half)
    sides = measure_sides(job, examiner, request.variant, card, searched=search is not None)
    write_bytes(job.paths.row_scores, row_scores.to_bytes(*sides.whole))
    deciding = deciding_rows((row.number for row in stored), card.golden_set_id, request.half)
    judged = deciding if request.variant is not None or search is not None else None
    tuned, base = sides.scores(judged)
    look = _look(job, request)
    comparison = None
    if base is not None:
        words = RUN_AND_BASE if sides.is_run_and_base else WITH_AND_WITHOUT
        by = "loss" if request.variant is None else goal_of(request.metrics)
        comparison = trusted(compare(base, tuned, metrics, look or 1, by=by, sides=words), seen)
    scores = aggregate(tuned, metrics)
    plan = subject.plan
    found = Evaluation(
        evaluation_id=job.handle,
        model=subject.name,
        golden_set_id=request.golden_set_id,
        half=request.half,
        kind=_kind(subject, request.variant),
        base_model=subject.name if plan is None else plan.config.base_model,
        variant=request.variant,
        search=search,
        cost=sides.cost(search),
        baseline_cost=sides.baseline_cost,
        rows=len(tuned),
        metrics_because=examiner.choice.because,
        scores=scores,
        baseline=None if base is None else aggregate(base, metrics),
        comparison=comparison,
        retention=sides.retention,
        findings=findings(job.store, subject, card, stored, base, tuned, sides.retention, seen)
        if base is not None and sides.is_run_and_base
        else [],
        confusion=_confusion(tuned, examiner.grader),
        targets=targets(scores, _loss_fell(comparison)),
        # What is seen of rows that decide is no longer held out.
        worst=worst_examples(
            subject.tokenizer,
            sides.given.rows,
            sides.tuned.rows,
            sides.tuned.written,
            metrics,
            frozenset(row.number for row in stored) - deciding,
        ),
        notes=[
            *([] if plan is None else run_notes(plan, subject.outcome, card, seen)),
            *row_notes(
                sides.given.golden, sides.given.answers if examiner.choice.written else None, examiner.limit
            ),
            *answer_notes(sides.tuned.written.values()),
            *variant_notes(request, search, len(tuned)),
            *half_notes(request.half, look),
            *_standing(job, request, tuned, look),
        ],
        created_at=clock.timestamp(),
    )
    board = leaderboard(job.store, found, *sides.whole, deciding)
    return found.model_copy(update={"leaderboard": board})


def _loss_fell(comparison: Comparison | None) -> bool | None:
    """None where nothing says so."""
    return None if comparison is None or comparison.by != "loss" else comparison.verdict == "improved"


def _kind(subject: Subject, variant: PromptVariant | None) -> CandidateKind:
    if subject.plan is not None:
        return "soft_prompt" if subject.plan.config.tuning_method.is_prompt_learning else "tuned"
    return "base" if variant is None else "hard_prompt"


def _look(job: JobContext, request: EvaluateRequest) -> int | None:
    """Which candidate on this half it is; None for a plain base model, of which nothing is claimed."""
    if request.model.kind != "run" and request.variant is None:
        return None
    job.check_current()
    path = job.store.handle(request.golden_set_id).looks(request.half)
    return record_look(path, candidate_of(request.model, request.variant), job.handle, request.model.name)


def _standing(
    job: JobContext, request: EvaluateRequest, tuned: Sequence[RowScore], look: int | None
) -> list[str]:
    """How a candidate compares with the best one before it on these rows."""
    if look is None:
        return []
    candidate = candidate_of(request.model, request.variant)
    best = best_so_far(job.store, request.golden_set_id, request.half, candidate)
    told = None if best is None else standing(job.store, *best, tuned, look)
    return [] if told is None else [told]


def _confusion(rows: Sequence[RowScore], grader: Grader) -> Confusion | None:
    if grader.labels is None:
        return None
    known = [
        (row.label, row.predicted) for row in rows if row.label is not None and row.predicted is not None
    ]
    pairs = np.array(known, dtype=np.int64)
    return confusion(pairs[:, 0], pairs[:, 1], grader.labels.names)

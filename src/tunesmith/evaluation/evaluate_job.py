"""The job behind evaluate_model: a model's scores on one half of a golden set, and its base's beside them."""

from __future__ import annotations

import json
from collections.abc import Sequence

from tunesmith.evaluation.comparison import compare
from tunesmith.evaluation.generation import stop_ids
from tunesmith.evaluation.golden import GoldenRow, GoldenRows, put_before, read_half, render_rows
from tunesmith.evaluation.measurement import Progress, answerable, measure, row_limit
from tunesmith.evaluation.metrics import RowScore, aggregate, choose_metrics, require_known, targets
from tunesmith.evaluation.notes import row_notes, run_notes
from tunesmith.evaluation.subject import load_subject
from tunesmith.jobs import clock
from tunesmith.jobs.context import JobContext
from tunesmith.jobs.files import write_bytes
from tunesmith.schemas.errors import EmptyMask
from tunesmith.schemas.evaluations import EvaluateRequest, Evaluation
from tunesmith.training.failures import training_failures
from tunesmith.training.rendering import Renderer


def run(job: JobContext) -> Evaluation:
    """Score the model; a run is compared with its own base on the same rows, rendered by the run's tokenizer.

    Rows are rendered whole, as far as the model's context goes, whatever `max_length` the training had: so
    runs with different plans are scored on the same tokens.

    Raises:
        InvalidArgument: an unknown metric.
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
    job.phase("loading the model")
    subject = load_subject(job.store, request.model)
    limit = row_limit(subject.model)
    renderer = Renderer(subject.tokenizer, card.row_kind, limit)
    golden = render_rows(renderer, put_before(renderer, stored, request.prompt) if request.prompt else stored)
    rows = _require_rows(golden, request, limit)
    metrics = choose_metrics(request.metrics, [row.reference_tokens for row in rows])
    answers = answerable(rows, limit) if "exact_match" in metrics else []
    stops = sorted({*stop_ids(subject.model, subject.tokenizer), *renderer.stop_ids()})

    passes = 1 if subject.plan is None else 2
    progress = Progress(job, passes * (len(rows) + len(answers)))
    job.phase("scoring the model" if subject.plan is None else "scoring the tuned model")
    tuned = measure(subject.model, subject.tokenizer, rows, answers, stops, progress)
    base: list[RowScore] | None = None
    if subject.plan is not None:
        job.phase("scoring its base on the same rows")
        with subject.base(subject.plan) as model:
            base = measure(model, subject.tokenizer, rows, answers, stops, progress)

    write_bytes(job.paths.row_scores, _lines(tuned, base))
    scores = aggregate(tuned, metrics)
    comparison = None if base is None else compare(base, tuned)
    notes = [] if subject.plan is None else run_notes(subject.plan, subject.outcome, card)
    return Evaluation(
        evaluation_id=job.handle,
        model=subject.name,
        golden_set_id=request.golden_set_id,
        half=request.half,
        prompt=request.prompt,
        rows=len(rows),
        scores=scores,
        baseline=None if base is None else aggregate(base, metrics),
        comparison=comparison,
        targets=targets(scores, None if comparison is None else comparison.verdict == "improved"),
        notes=[*notes, *row_notes(golden, answers if "exact_match" in metrics else None, limit)],
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


def _lines(tuned: Sequence[RowScore], base: Sequence[RowScore] | None) -> bytes:
    """One JSON object a row, figures only: losses are sums in nats, `row` is the source row's number."""
    lines = []
    for place, row in enumerate(tuned):
        line = {
            "row": row.row,
            "tokens": row.tokens,
            "loss": row.loss,
            "correct": row.correct,
            "exact": row.exact,
        }
        if base is not None:
            line |= {
                "base_loss": base[place].loss,
                "base_correct": base[place].correct,
                "base_exact": base[place].exact,
            }
        lines.append(json.dumps(line) + "\n")
    return "".join(lines).encode()

"""Benchmarks beside an evaluation's golden rows: prepared before the model is loaded, run when its rows are scored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tunesmith.evaluation.benchmark_scores import Results, benchmark_notes, differences, scores
from tunesmith.evaluation.subject import Subject
from tunesmith.jobs.context import JobContext
from tunesmith.schemas.evaluations import Evaluation


def prepare(job: JobContext, names: Sequence[str]) -> Any:
    """The harness's tasks, None where none is asked for: importing it takes seconds. Raises as `load_benchmarks`."""
    if not names:
        return None
    job.phase("preparing the benchmarks")
    from tunesmith.evaluation.harness import load_benchmarks

    return load_benchmarks(names, job.scratch)


def with_benchmarks(job: JobContext, found: Evaluation, subject: Subject, benchmarks: Any) -> Evaluation:
    """The evaluation with the figures of the benchmarks, and those of a run's base beside them.

    Benchmarks bring prompts of their own: with a prompt variant, whose baseline is the same model without it, the model
    is benchmarked alone.
    """
    if benchmarks is None:
        return found
    tuned = _run(job, benchmarks, subject.model, subject, "the model")
    base: Results = {}
    if subject.plan is not None and found.variant is None:
        with subject.base(subject.plan) as model:
            base = _run(job, benchmarks, model, subject, "its base")
    comparison = found.comparison
    if comparison is not None:
        told = comparison.differences | differences(base, tuned)
        comparison = comparison.model_copy(update={"differences": told})
    return found.model_copy(
        update={
            "scores": found.scores | scores(tuned),
            "baseline": None if found.baseline is None else found.baseline | scores(base),
            "comparison": comparison,
            "notes": [*found.notes, *benchmark_notes(tuned)],
        }
    )


def _run(job: JobContext, benchmarks: Any, model: Any, subject: Subject, whose: str) -> Results:
    job.phase(f"benchmarks on {whose}")
    results: Results = benchmarks.run(model, subject.tokenizer, job, whose)
    return results

"""The test half is opened once for each candidate: whoever asks again is told what came out then."""

from __future__ import annotations

from pathlib import Path

from tunesmith.evaluation.looks import candidate_of, read_looks
from tunesmith.jobs.context import JobContext
from tunesmith.jobs.files import read_document, write_bytes
from tunesmith.schemas.enums import Half
from tunesmith.schemas.evaluations import BENCHMARK, EvaluateRequest, Evaluation

_FILES = (".yaml", ".yml")


def opened_before(job: JobContext, request: EvaluateRequest) -> Evaluation | None:
    """The recorded evaluation of this candidate on the test half, under the new handle and with a note that says so.

    None on the dev half, for a candidate that was not scored before, and where the recorded result is gone or was never
    finished: then the rows are scored (again), under the same number of look.
    """
    if request.half is not Half.TEST:
        return None
    candidate = candidate_of(request.model, request.variant)
    for look in reversed(read_looks(job.store.handle(request.golden_set_id).looks(request.half))):
        if look.candidate != candidate or look.evaluation_id == job.handle:
            continue
        paths = job.store.handle(look.evaluation_id)
        found = read_document(paths.result, Evaluation)
        if found is None or not paths.row_scores.is_file():
            continue
        write_bytes(job.paths.row_scores, paths.row_scores.read_bytes())
        return found.model_copy(
            update={"evaluation_id": job.handle, "notes": [_note(request, found), *found.notes]}
        )
    return None


def _note(request: EvaluateRequest, found: Evaluation) -> str:
    told = (
        f"The test half was opened for this candidate on {found.created_at} ({found.evaluation_id}): these are the "
        "scores of then, nothing was scored again."
    )
    missing = [name for name in request.metrics if not _was_scored(name, found)]
    return f"{told} {', '.join(missing)} was not scored then; use the dev half." if missing else told


def _was_scored(name: str, found: Evaluation) -> bool:
    """A benchmark has a score for each of its figures, under the name of its task or task file."""
    if not name.startswith(BENCHMARK):
        return name in found.scores
    task = f"{BENCHMARK}{Path(name.removeprefix(BENCHMARK)).stem}/" if name.endswith(_FILES) else f"{name}/"
    return any(scored.startswith(task) for scored in found.scores)

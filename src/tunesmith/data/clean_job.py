"""The work behind clean_dataset: a new version of a dataset without, or with mended, faulty rows."""

from __future__ import annotations

import shutil

from tunesmith.data.cleaning import recipe_for, stored_sources
from tunesmith.data.heartbeat import PER_MILLE, Heartbeat
from tunesmith.data.ingestion import Ingested, commit_parts, ingest
from tunesmith.data.parallel import worker_count
from tunesmith.data.quality.assessment import Assessment, assess
from tunesmith.data.quality.flags import Flags, read_flags, write_flags
from tunesmith.data.quality.report import LISTED_ROWS, summary
from tunesmith.data.quality.token_lengths import lengths_in
from tunesmith.jobs import clock
from tunesmith.jobs.context import JobContext
from tunesmith.jobs.files import read_document
from tunesmith.jobs.paths import HandlePaths
from tunesmith.jobs.submission import create_finished
from tunesmith.schemas.datasets import CleanDatasetRequest, CleaningCard, DatasetCard
from tunesmith.schemas.errors import NoRows, NotReady

PARALLEL_ROWS = 5_000
_WRITTEN = 0.3
"""The share of the time that writing takes; the new report takes the rest."""


def run(job: JobContext) -> CleaningCard:
    """Apply the fixes; unless it is a dry run, store what is left as a dataset of its own.

    Raises:
        NotReady: the dataset has no rows yet.
        NoRows: nothing would be left.
        Stopped: somebody asked for it; no dataset was made.
    """
    request = job.request(CleanDatasetRequest)
    try:
        return _clean(job, request)
    finally:
        shutil.rmtree(job.paths.scratch, ignore_errors=True)


def _clean(job: JobContext, request: CleanDatasetRequest) -> CleaningCard:
    source = job.store.handle(request.dataset_id)
    card = read_document(source.result, DatasetCard)
    if card is None:
        raise NotReady(
            f"{request.dataset_id} has no rows yet.",
            "Ask get_status about it, and call again once it has succeeded.",
        )
    heartbeat = Heartbeat(job)
    workers = worker_count() if card.rows > PARALLEL_ROWS else 1
    _, found = read_flags(source.flags)
    job.phase("cleaning")
    scratch = job.paths.scratch / "rows"
    sources = stored_sources(source.rows, recipe_for(request.fixes, found, source.rows))
    ingested = ingest(sources, card.row_kind, scratch, workers, heartbeat.stage(0, _WRITTEN, len(sources)))
    assert ingested is not None, "cleaning never changes what kind a row is"
    if not ingested.rows:
        raise NoRows(
            f"Nothing of {request.dataset_id} would be left ({summary(ingested.dropped)}).",
            "Call clean_dataset again with fewer fixes.",
        )
    job.phase("checking quality")
    assessment = assess(
        scratch,
        ingested.rows,
        Flags(),  # what was left out is told by the cleaning; the report is about what is left
        workers,
        job.paths.scratch,
        heartbeat.stage(_WRITTEN, 1, 1),
        lengths=lengths_in(card.base_model),
    )
    if not request.dry_run:
        _store(job, request, card, ingested, assessment)
    job.progress(PER_MILLE, PER_MILLE)
    return CleaningCard(
        cleaning_id=job.handle,
        dataset_id=request.dataset_id,
        cleaned_dataset_id=None if request.dry_run else request.cleaned_dataset_id,
        fixes=request.fixes,
        dry_run=request.dry_run,
        rows_before=card.rows,
        rows=ingested.rows,
        dropped=counts(ingested.dropped),
        dropped_rows=first_rows(ingested.dropped),
        changed=counts(ingested.changed),
        changed_rows=first_rows(ingested.changed),
        checklist=assessment.checklist,
        created_at=clock.timestamp(),
    )


def counts(flags: Flags) -> dict[str, int]:
    """Rows per kind, most frequent first."""
    return dict(sorted(((kind, flags.count(kind)) for kind in flags.kinds()), key=lambda item: -item[1]))


def first_rows(flags: Flags) -> dict[str, list[int]]:
    """The first few row numbers per kind."""
    return {kind: sorted(flags.rows(kind).tolist())[:LISTED_ROWS] for kind in counts(flags)}


def _store(
    job: JobContext,
    request: CleanDatasetRequest,
    card: DatasetCard,
    ingested: Ingested,
    assessment: Assessment,
) -> None:
    cleaned = card.model_copy(
        update={
            "dataset_id": request.cleaned_dataset_id,
            "row_kind": ingested.row_kind,
            "rows": ingested.rows,
            "rows_read": card.rows,
            "dropped": counts(ingested.dropped),
            "checklist": assessment.checklist,
            "quality": assessment.quality,
            "fingerprint": ingested.fingerprint,
            "parent_dataset_id": request.dataset_id,
            "fixes": request.fixes,
            "changed": counts(ingested.changed),
            "created_at": clock.timestamp(),
        }
    )

    def fill(paths: HandlePaths) -> None:
        commit_parts(job.paths.scratch / "rows", paths.rows)
        write_flags(paths.flags, ingested.dropped, assessment.found)

    create_finished(job.store, request.cleaned_dataset_id, request, cleaned, fill)

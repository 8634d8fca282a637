"""The work behind load_dataset: read, shape, store, check."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from tunesmith.data.heartbeat import PER_MILLE, Heartbeat
from tunesmith.data.ingestion import Ingested, PartRows, commit_parts, ingest
from tunesmith.data.parallel import Beat, worker_count
from tunesmith.data.quality.assessment import assess
from tunesmith.data.quality.flags import Flags, write_flags
from tunesmith.data.quality.report import summary
from tunesmith.data.quality.token_lengths import lengths_in
from tunesmith.data.reading.parts import Part
from tunesmith.data.reading.source_row import SourceRow
from tunesmith.data.reading.sources import Source, open_source
from tunesmith.data.shaping.layouts import Layouts, find_layouts
from tunesmith.jobs import clock
from tunesmith.jobs.context import JobContext
from tunesmith.schemas.datasets import DatasetCard, LoadDatasetRequest
from tunesmith.schemas.enums import DataFormat
from tunesmith.schemas.errors import NoRows

SAMPLE_ROWS = 400
"""Sound rows that are looked at before the formats are decided, in each of three places of the source."""
SAMPLE_LIMIT = 4_000
"""Rows to read at most in search of them, in each place."""
PARALLEL_BYTES = 4_000_000
"""Smaller sources are worked on in one process: starting others would take longer."""
_READ = 0.25
"""The share of the time that reading takes; checking takes the rest."""


def run(job: JobContext) -> DatasetCard:
    """Make the rows of a dataset, and their quality report.

    Raises:
        TunesmithError: what `sources.open_source` and `layouts.find_layouts` tell; NoRows if nothing is left.
        Stopped: somebody asked for it; nothing is stored.
    """
    request = job.request(LoadDatasetRequest)
    try:
        return _load(job, request)
    finally:
        shutil.rmtree(job.paths.scratch, ignore_errors=True)


def _load(job: JobContext, request: LoadDatasetRequest) -> DatasetCard:
    heartbeat = Heartbeat(job)
    scratch = job.paths.scratch / "rows"
    job.phase("downloading" if request.source_kind == "hub" else "reading")
    source = open_source(request)
    workers = worker_count() if sum(part.size for part in source.parts) > PARALLEL_BYTES else 1
    layouts = _layouts_of(source.parts, request)
    job.phase("reading")
    ingested = _ingest(source, layouts, scratch, workers, heartbeat.stage(0, _READ, len(source.parts)))
    if not ingested.rows:
        raise NoRows(
            f"None of the {ingested.rows_read} rows of {request.source} can be used "
            f"({summary(ingested.dropped)}).",
            "Name the right columns (format, columns), or mend the rows, and call load_dataset again.",
        )
    job.phase("checking quality")
    assessment = assess(
        scratch,
        ingested.rows_read,
        ingested.dropped,
        workers,
        job.paths.scratch,
        heartbeat.stage(_READ, 1, 1),
        request.harm_classifier,
        lengths_in(request.base_model),
    )
    write_flags(job.paths.flags, ingested.dropped, assessment.found)
    commit_parts(scratch, job.paths.rows)
    job.progress(PER_MILLE, PER_MILLE)
    converses = ingested.row_kind != "prompt_completion"
    return DatasetCard(
        dataset_id=job.handle,
        source=request.source,
        source_kind=request.source_kind,
        subset=request.subset,
        split=request.split,
        revision=source.revision or request.revision,
        format=DataFormat.CHAT if converses else layouts.format,
        row_kind=ingested.row_kind,
        template=None if converses else layouts.template,
        columns=layouts.columns,
        rows=ingested.rows,
        rows_read=ingested.rows_read,
        dropped={kind: ingested.dropped.count(kind) for kind in ingested.dropped.kinds()},
        shapes=ingested.shapes,
        checklist=assessment.checklist,
        quality=assessment.quality,
        base_model=request.base_model,
        fingerprint=ingested.fingerprint,
        created_at=clock.timestamp(),
    )


def _ingest(source: Source, layouts: Layouts, folder: Path, workers: int, beat: Beat) -> Ingested:
    """Read everything; again, as mixed rows, when rows of the other kind turn up after the sample."""
    for row_kind in (layouts.row_kind, "mixed"):
        as_messages = row_kind != "prompt_completion"
        pieces = [PartRows(part, replace(layouts, as_messages=as_messages)) for part in source.parts]
        ingested = ingest(pieces, row_kind, folder, workers, beat, source.max_rows)
        if ingested is not None:
            return ingested
    raise AssertionError("every row fits a file of mixed rows")


def _layouts_of(parts: Sequence[Part], request: LoadDatasetRequest) -> Layouts:
    """The shapes of the source's rows, found in a sample from its start, its middle and its end."""
    sample: list[dict[str, Any]] = []
    problems = Flags()
    for place in sorted({0, len(parts) // 2, len(parts) - 1} if parts else ()):
        for row in _first_rows(parts[place]):
            if row.problem is None:
                sample.append(row.values)
            else:
                problems.add(row.problem, row.number)
    if not sample:
        looked_at = sum(problems.count(kind) for kind in problems.kinds())
        why = (
            f"none of its first {looked_at} rows can be read ({summary(problems)})"
            if looked_at
            else "it has no rows"
        )
        raise NoRows(
            f"{request.source} gave nothing to train on: {why}.",
            "Give a file with at least one sound row: CSV, JSON, JSON lines, Parquet, Arrow or text.",
        )
    return find_layouts(sample, request.source, request.format, request.columns, request.template)


def _first_rows(part: Part) -> Iterator[SourceRow]:
    """Rows up to the last one needed for the sample."""
    sound = 0
    for row in islice(part.rows(), SAMPLE_LIMIT):
        yield row
        sound += row.problem is None
        if sound >= SAMPLE_ROWS:
            return

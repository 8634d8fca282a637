"""The work behind load_dataset: read, map, check, store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import chain

from tunesmith.data.conversion import Unfit, convert
from tunesmith.data.formats import Layout, find_layout
from tunesmith.data.heartbeat import Heartbeat
from tunesmith.data.quality import Tally
from tunesmith.data.readers import SourceRow
from tunesmith.data.rows import Row, RowsWriter
from tunesmith.data.sources import Meter, open_source
from tunesmith.jobs import clock
from tunesmith.jobs.context import JobContext
from tunesmith.schemas.datasets import DatasetCard, LoadDatasetRequest
from tunesmith.schemas.errors import NoRows

SAMPLE_ROWS = 100
"""Sound rows to look at before the format is decided."""
SAMPLE_LIMIT = 10_000
"""Rows to read at most in search of them."""


def run(job: JobContext) -> DatasetCard:
    """Make the rows of a dataset.

    Raises:
        TunesmithError: what `sources.open_source` and `formats.find_layout` tell; NoRows if nothing is left.
        Stopped: somebody asked for it; nothing is stored.
    """
    request = job.request(LoadDatasetRequest)
    job.phase("downloading" if request.source_kind == "hub" else "reading")
    meter = Meter()
    source = open_source(request, meter)
    first = _first_rows(source.rows)
    layout = _layout_of(first, request)
    job.phase("reading")
    tally = Tally()
    with RowsWriter(job.paths.rows, layout.row_kind) as writer:
        for row in _kept(_beating(chain(first, source.rows), job, meter), layout, tally):
            writer.append(row)
        if writer.count == 0:
            raise NoRows(
                f"None of the {tally.rows_read} rows of {request.source} can be used ({tally.summary()}).",
                "Name the right columns (format, columns), or mend the rows, and call load_dataset again.",
            )
    job.progress(tally.rows_read, tally.rows_read)
    return DatasetCard(
        dataset_id=job.handle,
        source=request.source,
        source_kind=request.source_kind,
        subset=request.subset,
        split=request.split,
        revision=source.revision or request.revision,
        format=layout.format,
        row_kind=layout.row_kind,
        template=layout.template,
        columns=layout.columns,
        rows=writer.count,
        rows_read=tally.rows_read,
        dropped=dict(tally.dropped),
        quality=tally.checks(),
        fingerprint=writer.fingerprint,
        created_at=clock.timestamp(),
    )


def _first_rows(rows: Iterator[SourceRow]) -> list[SourceRow]:
    """Rows up to the hundredth sound one."""
    first: list[SourceRow] = []
    sound = 0
    for row in rows:
        first.append(row)
        sound += row.problem is None
        if sound >= SAMPLE_ROWS or len(first) >= SAMPLE_LIMIT:
            break
    return first


def _layout_of(first: list[SourceRow], request: LoadDatasetRequest) -> Layout:
    sample = [row.values for row in first if row.problem is None]
    if not sample:
        tally = Tally()
        for row in first:
            tally.drop(row.problem or "", row.number)
        why = f"none of its {len(first)} rows can be read ({tally.summary()})" if first else "it has no rows"
        raise NoRows(
            f"{request.source} gave nothing to train on: {why}.",
            "Give CSV with a header, JSON lines, JSON or Parquet with at least one sound row.",
        )
    columns = list(dict.fromkeys(column for values in sample for column in values))
    return find_layout(columns, sample, request.source, request.format, request.columns, request.template)


def _beating(rows: Iterator[SourceRow], job: JobContext, meter: Meter) -> Iterator[SourceRow]:
    heartbeat = Heartbeat(job)
    for done, row in enumerate(rows, start=1):
        heartbeat.beat(done, round(done / meter.share) if meter.share else 0)
        yield row


def _kept(rows: Iterator[SourceRow], layout: Layout, tally: Tally) -> Iterator[Row]:
    """The usable rows, each content once; the others are counted."""
    seen: set[bytes] = set()
    for source_row in rows:
        tally.rows_read += 1
        try:
            row = convert(source_row, layout)
        except Unfit as unfit:
            tally.drop(unfit.reason, source_row.number)
            continue
        digest = hashlib.sha256(row.content()).digest()[:16]
        if digest in seen:
            tally.drop("duplicate", row.number)
            continue
        seen.add(digest)
        yield row

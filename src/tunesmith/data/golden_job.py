"""The work behind build_golden_set: choose, write both halves, make the training part its own dataset."""

from __future__ import annotations

from pathlib import Path

from tunesmith.data.golden_set import (
    Candidate,
    Choice,
    choose,
    half_of,
    identity,
    stratum_value,
    unknown_column,
    with_values,
)
from tunesmith.data.heartbeat import Heartbeat
from tunesmith.data.rows import RowsWriter, iter_rows
from tunesmith.jobs import clock
from tunesmith.jobs.context import JobContext
from tunesmith.jobs.files import read_document, storage_errors
from tunesmith.jobs.paths import HandlePaths
from tunesmith.jobs.submission import create_finished
from tunesmith.schemas.datasets import BuildGoldenSetRequest, DatasetCard, GoldenSetCard
from tunesmith.schemas.enums import Half
from tunesmith.schemas.errors import NotReady


def run(job: JobContext) -> GoldenSetCard:
    """Make a golden set and the dataset of the rows that are left for training.

    A repeated attempt makes the same again: the choice hangs on the rows and the request alone.

    Raises:
        NotReady: the dataset has no rows yet.
        InvalidArgument, UnmappedColumns: size or stratify_by cannot be used.
        Stopped: somebody asked for it; no training dataset was made.
    """
    request = job.request(BuildGoldenSetRequest)
    source = job.store.handle(request.dataset_id)
    card = read_document(source.result, DatasetCard)
    if card is None:
        raise NotReady(
            f"{request.dataset_id} has no rows yet.",
            "Ask get_status about it, and call again once it has succeeded.",
        )
    job.phase("choosing rows")
    choice = choose(_candidates(job, source.rows, card, request.stratify_by), request.size, request.seed)
    job.phase("writing")
    job.paths.scratch.mkdir(exist_ok=True)
    remainder = job.paths.scratch / "train.parquet"
    dev, test, train = _write_parts(job, source.rows, card, choice, remainder)
    train_card = card.model_copy(
        update={
            "dataset_id": request.train_dataset_id,
            "rows": train.count,
            "rows_read": card.rows,
            "dropped": {"held_out": dev.count + test.count, "leak": len(choice.leaks)},
            "fingerprint": train.fingerprint,
            "parent_dataset_id": request.dataset_id,
            "golden_set_id": job.handle,
            "created_at": clock.timestamp(),
        }
    )

    def fill(paths: HandlePaths) -> None:
        with storage_errors(paths.rows):
            remainder.replace(paths.rows)

    create_finished(job.store, request.train_dataset_id, request, train_card, fill)
    remainder.unlink(missing_ok=True)  # still there when an earlier attempt had made the dataset
    return GoldenSetCard(
        golden_set_id=job.handle,
        dataset_id=request.dataset_id,
        train_dataset_id=request.train_dataset_id,
        row_kind=card.row_kind,
        dev_rows=dev.count,
        test_rows=test.count,
        train_rows=train.count,
        leaks_removed=len(choice.leaks),
        stratify_by=request.stratify_by,
        strata=choice.strata,
        seed=request.seed,
        dev_fingerprint=dev.fingerprint,
        test_fingerprint=test.fingerprint,
        created_at=clock.timestamp(),
    )


def _candidates(job: JobContext, rows: Path, card: DatasetCard, stratify_by: str | None) -> list[Candidate]:
    heartbeat = Heartbeat(job)
    candidates: list[Candidate] = []
    values: list[str | None] = []
    available: set[str] = set()
    for done, row in enumerate(iter_rows(rows), start=1):
        heartbeat.beat(done, 2 * card.rows)
        candidates.append(Candidate(identity(row), row.characters()))
        if stratify_by is not None:
            values.append(stratum_value(row, stratify_by, card.columns))
            available.update(row.extras)
    if stratify_by is None:
        return candidates
    if all(value is None for value in values):
        available.update(() if card.row_kind == "messages" else card.columns.values())
        raise unknown_column(stratify_by, available)
    return with_values(candidates, values)


def _write_parts(
    job: JobContext, rows: Path, card: DatasetCard, choice: Choice, remainder: Path
) -> tuple[RowsWriter, RowsWriter, RowsWriter]:
    """Write dev, test and the training part in one pass."""
    heartbeat = Heartbeat(job)
    kind = card.row_kind
    with (
        RowsWriter(job.paths.half(Half.DEV), kind) as dev,
        RowsWriter(job.paths.half(Half.TEST), kind) as test,
        RowsWriter(remainder, kind) as train,
    ):
        writers = {Half.DEV: dev, Half.TEST: test, None: train}
        for position, row in enumerate(iter_rows(rows)):
            heartbeat.beat(card.rows + position, 2 * card.rows)
            if position not in choice.leaks:
                writers[half_of(choice, position)].append(row)
    job.progress(2 * card.rows, 2 * card.rows)
    return dev, test, train

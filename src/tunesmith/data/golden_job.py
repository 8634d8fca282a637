"""The work behind build_golden_set: choose, keep the rest free of what was chosen, write everything."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from tunesmith.data.golden_coverage import coverage_of
from tunesmith.data.golden_features import Features, column_named, read_features
from tunesmith.data.golden_set import Choice, answers_are_labels, choose, unknown_column
from tunesmith.data.golden_texts import REFERENCES_AT_ONCE, StoredTexts, reference_texts
from tunesmith.data.heartbeat import Heartbeat
from tunesmith.data.ingestion import Ingested, Ledger, commit_parts, ingest
from tunesmith.data.parallel import Beat, Tell, worker_count
from tunesmith.data.quality.contamination import Texts, join_texts
from tunesmith.data.quality.flags import Flags, read_flags, write_flags
from tunesmith.data.rows import Row, RowGroups, RowsWriter, row_groups, rows_of
from tunesmith.jobs import clock
from tunesmith.jobs.context import JobContext
from tunesmith.jobs.files import read_document
from tunesmith.jobs.paths import HandlePaths, Store
from tunesmith.jobs.submission import create_finished
from tunesmith.schemas.datasets import BuildGoldenSetRequest, DatasetCard, GoldenSetCard
from tunesmith.schemas.enums import Half, Work
from tunesmith.schemas.errors import NoRows, NotReady
from tunesmith.schemas.handles import work_of

PARALLEL_ROWS = 5_000
RETENTION_ROWS = 200
"""Rows of general text to hold out at most."""
HELD_OUT, LEAK, OVERLAP = "held_out", "leak", "overlap"
_STAYS = ""
_UNTOUCHED = np.iinfo(np.uint16).max


def run(job: JobContext) -> GoldenSetCard:
    """Make a golden set and the dataset of the rows that are left for training.

    A repeated attempt makes the same again: the choice hangs on the rows and the request alone.

    Raises:
        NotReady: the dataset, or another one named in the request, has no rows yet.
        InvalidArgument, UnmappedColumns: size or stratify_by cannot be used.
        NoRows: all rows overlap with what they have to be free of.
        Stopped: somebody asked for it; no training dataset was made.
    """
    build = _begin(job)
    job.phase("choosing rows")
    features = _features(build)
    choice = choose(features, build.request.size, build.request.seed, build.texts.likeness)
    retention = _retention(build)
    job.phase("looking for overlaps")
    held_out = build.texts.texts(choice.positions)
    fates = _fates(build, choice, chain([(LEAK, held_out)], _named_references(build, retention)))
    job.phase("writing")
    dev, test = _write_halves(build, choice)
    kept = None if retention is None else _write_retention(job.paths, retention)
    train = _write_training_part(build, fates)
    return GoldenSetCard(
        golden_set_id=job.handle,
        dataset_id=build.request.dataset_id,
        train_dataset_id=build.request.train_dataset_id,
        row_kind=build.card.row_kind,
        dev_rows=dev.count,
        test_rows=test.count,
        train_rows=train.rows,
        leaks_removed=fates.count(LEAK),
        overlaps_removed={kind: fates.count(kind) for kind in fates.kinds[3:]},
        stratify_by=build.request.stratify_by,
        strata=choice.held_out,
        population=choice.population,
        coverage=coverage_of(
            build.texts, features, held_out, choice.positions, np.flatnonzero(fates.codes == 0)
        ),
        seed=build.request.seed,
        dev_fingerprint=dev.fingerprint,
        test_fingerprint=test.fingerprint,
        retention_dataset_id=build.request.retention_dataset_id,
        retention_rows=kept.count if kept else 0,
        retention_fingerprint=kept.fingerprint if kept else None,
        created_at=clock.timestamp(),
    )


@dataclass(frozen=True)
class _Build:
    """What every step needs."""

    job: JobContext
    request: BuildGoldenSetRequest
    card: DatasetCard
    texts: StoredTexts
    workers: int
    beats: Heartbeat

    def stage(self, start: float, end: float) -> Beat:
        """For a pass over all rows: see `Heartbeat.stage`."""
        return self.beats.stage(start, end, len(self.texts.pieces))


@dataclass(frozen=True)
class Retention:
    """Rows of general text, for measuring what training makes a model forget: ascending positions in a dataset."""

    card: DatasetCard
    texts: StoredTexts
    positions: Any


@dataclass(frozen=True)
class Fates:
    """What becomes of each row: uint16 `codes` into `kinds`, where "" means that it stays for training."""

    codes: Any
    kinds: list[str]

    def count(self, kind: str) -> int:
        """Rows of that kind."""
        return int((self.codes == self.kinds.index(kind)).sum())


@dataclass(frozen=True)
class KeptRows:
    """The rows of a piece that stay; a `RowSource`. `codes` has one entry a row."""

    piece: RowGroups
    codes: Any
    reasons: list[str]

    def rows(self, ledger: Ledger, tell: Tell, limit: int | None) -> Iterator[Row]:
        """What is left out is counted by reason."""
        for batch in self.piece.tables():
            for row in rows_of(batch):
                reason = self.reasons[self.codes[ledger.read]]
                ledger.read += 1
                if reason:
                    ledger.dropped.add(reason, row.number)
                else:
                    yield row
            tell(ledger.read / self.piece.rows)


def _finished(store: Store, dataset_id: str) -> DatasetCard:
    card = read_document(store.handle(dataset_id).result, DatasetCard)
    if card is None:
        raise NotReady(
            f"{dataset_id} has no rows yet.",
            "Ask get_status about it, and call again once it has succeeded.",
        )
    return card


def _begin(job: JobContext) -> _Build:
    request = job.request(BuildGoldenSetRequest)
    card = _finished(job.store, request.dataset_id)
    workers = worker_count() if card.rows > PARALLEL_ROWS else 1
    texts = StoredTexts(row_groups(job.store.handle(request.dataset_id).rows), workers)
    return _Build(job, request, card, texts, workers, Heartbeat(job))


def _features(build: _Build) -> Features:
    """With the values to stratify by: those of the named column, or the answers where they are labels."""
    name, card, texts = build.request.stratify_by, build.card, build.texts
    column = None if name is None else column_named(name, card.columns, card.row_kind)
    features = read_features(texts.pieces, column, build.workers, build.stage(0, 0.2))
    if name is not None and (features.values < 0).all():
        raise unknown_column(
            name, {*features.columns, *(() if card.row_kind == "messages" else card.columns.values())}
        )
    if name is None and answers_are_labels(features.answers):
        _, first, values = np.unique(features.answers, return_index=True, return_inverse=True)
        order = np.argsort(first)
        labels = [_answer(row) for row in texts.rows(first[order])]
        named = np.argsort(order)
        return replace(features, values=named[values.ravel()], names=labels)
    return features


def _answer(row: Row) -> str:
    """A label as people write it: the case and space of its first occurrence."""
    said = [turn.content for turn in row.messages if turn.role == "assistant"]
    return " ".join((said[-1] if said else row.completion).split())


def _retention(build: _Build) -> Retention | None:
    """Rows of the named dataset, chosen like a golden set: spread over lengths and topics, without copies."""
    if build.request.retention_dataset_id is None:
        return None
    store = build.job.store
    card = _finished(store, build.request.retention_dataset_id)
    workers = worker_count() if card.rows > PARALLEL_ROWS else 1
    texts = StoredTexts(row_groups(store.handle(card.dataset_id).rows), workers)
    features = read_features(texts.pieces, None, workers, build.beats.stage(0.2, 0.25, len(texts.pieces)))
    choice = choose(features, min(RETENTION_ROWS, card.rows - 1), build.request.seed, texts.likeness)
    return Retention(card, texts, choice.positions)


def _named_references(build: _Build, retention: Retention | None) -> Iterator[tuple[str, Texts]]:
    """What else the training rows have to be free of, in portions."""
    if retention is not None:
        yield "retention", retention.texts.texts(retention.positions)
    for handle in build.request.decontaminate_against:
        for path in _row_files(build.job.store, handle):
            for portion in reference_texts(row_groups(path)):
                yield handle, portion


def _row_files(store: Store, handle: str) -> list[Path]:
    paths = store.handle(handle)
    if work_of(handle) is Work.BUILD_GOLDEN_SET:
        if read_document(paths.result, GoldenSetCard) is None:
            raise NotReady(
                f"{handle} has no rows yet.", "Ask get_status about it, and call again once it has succeeded."
            )
        return [paths.half(half) for half in Half]
    _finished(store, handle)
    return [paths.rows]


def _fates(build: _Build, choice: Choice, references: Iterator[tuple[str, Texts]]) -> Fates:
    """Held-out rows first, then rows that overlap with them, then rows that overlap with other references."""
    kinds = [_STAYS, HELD_OUT, LEAK]
    texts = build.texts
    codes: Any = np.full(texts.total, _UNTOUCHED, np.uint16)
    share = 0.25
    for names, portion in _portions(references):
        kinds.extend(name for name in dict.fromkeys(names) if name not in kinds)
        owners = np.array([kinds.index(name) for name in names], np.uint16)
        until = (share + 0.6) / 2
        found = texts.overlaps(portion, build.stage(share, until))
        np.minimum.at(codes, found[:, 0], owners[found[:, 1]])
        share = until
    codes[codes == _UNTOUCHED] = 0
    codes[choice.positions] = 1
    if codes.all():
        raise NoRows(
            f"No row is left to train on: all {texts.total} rows are held out, overlap with those that are, or overlap "
            f"with {', '.join(kinds[3:]) or 'nothing else'}.",
            "Call build_golden_set again with a smaller size, or with fewer handles in decontaminate_against.",
        )
    return Fates(codes, kinds)


def _portions(references: Iterable[tuple[str, Texts]]) -> Iterator[tuple[list[str], Texts]]:
    """References taken together, as many as may be looked for at a time; the name of each."""
    names: list[str] = []
    held: list[Texts] = []
    for name, texts in references:
        if held and len(names) + len(texts) > REFERENCES_AT_ONCE:
            yield names, join_texts(held)
            names, held = [], []
        names.extend([name] * len(texts))
        held.append(texts)
    yield names, join_texts(held)


def _write_halves(build: _Build, choice: Choice) -> tuple[RowsWriter, RowsWriter]:
    kind, positions = build.card.row_kind, choice.positions
    in_dev = np.isin(positions, choice.dev).tolist()
    with (
        RowsWriter(build.job.paths.half(Half.DEV), kind) as dev,
        RowsWriter(build.job.paths.half(Half.TEST), kind) as test,
    ):
        for row, is_dev in zip(build.texts.rows(positions), in_dev, strict=True):
            (dev if is_dev else test).append(row)
    return dev, test


def _write_retention(paths: HandlePaths, retention: Retention) -> RowsWriter:
    with RowsWriter(paths.retention, retention.card.row_kind) as writer:
        for row in retention.texts.rows(retention.positions):
            writer.append(row)
    return writer


def _write_training_part(build: _Build, fates: Fates) -> Ingested:
    """What is left, as a dataset of its own."""
    job, request, card, texts = build.job, build.request, build.card, build.texts
    reasons = [*fates.kinds[:3], *(OVERLAP for _ in fates.kinds[3:])]
    sources = [
        KeptRows(piece, fates.codes[start : start + piece.rows], reasons)
        for piece, start in zip(texts.pieces, texts.starts, strict=False)
    ]
    scratch = job.paths.scratch / "train"
    ingested = ingest(sources, card.row_kind, scratch, build.workers, build.stage(0.6, 1))
    assert ingested is not None, "leaving rows out never changes what kind the others are"
    train_card = card.model_copy(
        update={
            "dataset_id": request.train_dataset_id,
            "row_kind": ingested.row_kind,
            "rows": ingested.rows,
            "rows_read": card.rows,
            "dropped": {kind: ingested.dropped.count(kind) for kind in ingested.dropped.kinds()},
            "fingerprint": ingested.fingerprint,
            "parent_dataset_id": request.dataset_id,
            "golden_set_id": job.handle,
            "fixes": [],
            "changed": {},
            "created_at": clock.timestamp(),
        }
    )
    _, found = read_flags(job.store.handle(request.dataset_id).flags)

    def fill(paths: HandlePaths) -> None:
        commit_parts(scratch, paths.rows)
        write_flags(paths.flags, ingested.dropped, _without(found, ingested.dropped))

    create_finished(job.store, request.train_dataset_id, request, train_card, fill)
    shutil.rmtree(job.paths.scratch, ignore_errors=True)
    return ingested


def _without(found: Flags, dropped: Flags) -> Flags:
    """What the quality report found on the rows that are left."""
    gone = dropped.rows_with_any(dropped.kinds())
    kept = Flags()
    for kind in found.kinds():
        rows, of = found.rows(kind), found.of(kind)
        stays = ~np.isin(rows, gone)
        kept.add_all(kind, rows[stays].tolist(), of[stays].tolist())
    return kept

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.unit.data.inputs import Load, StartJob, write_jsonl
from tunesmith.data import golden_job
from tunesmith.data.quality.flags import Flags, read_flags, write_flags
from tunesmith.data.quality.words import split, text_hashes
from tunesmith.data.rows import Row, fingerprint, read_rows
from tunesmith.jobs.context import JobContext, Stopped
from tunesmith.jobs.files import read_document, write_document
from tunesmith.jobs.journal import read_events
from tunesmith.jobs.paths import Store
from tunesmith.schemas.datasets import BuildGoldenSetRequest, DatasetCard
from tunesmith.schemas.enums import Half, Work
from tunesmith.schemas.errors import NoRows, NotReady, UnmappedColumns
from tunesmith.schemas.handles import new_handle


@pytest.fixture
def dataset(tmp_path: Path, load: Load) -> DatasetCard:
    """100 different questions, ten of them asked three times with another answer."""
    rows = [
        {"question": f"What is {n}?", "answer": f"n{n}", "kind": "even" if n % 2 == 0 else "odd"}
        for n in range(100)
    ]
    again = [
        {**row, "question": f"what  IS {n}?", "answer": f"{n} {k}"}
        for k in "ab"
        for n, row in enumerate(rows[:10])
    ]
    return load(write_jsonl(tmp_path / "a.jsonl", rows + again))


def golden(start_job: StartJob, dataset_id: str, **arguments: Any) -> JobContext:
    request: dict[str, Any] = {"size": 20, "stratify_by": None, "seed": 0, **arguments}
    return start_job(
        Work.BUILD_GOLDEN_SET,
        BuildGoldenSetRequest(
            dataset_id=dataset_id, train_dataset_id=new_handle(Work.LOAD_DATASET), **request
        ),
    )


def identity(row: Row) -> int:
    asked = pa.array([row.prompt])
    return int(text_hashes(split(asked), asked)[0])


def test_halves_and_training_rows_share_no_question_and_add_up(
    store: Store, start_job: StartJob, dataset: DatasetCard
) -> None:
    job = golden(start_job, dataset.dataset_id)
    card = golden_job.run(job)
    dev, test = read_rows(job.paths.half(Half.DEV)), read_rows(job.paths.half(Half.TEST))
    train = read_rows(store.handle(card.train_dataset_id).rows)
    asked = [{identity(row) for row in rows} for rows in (dev, test, train)]
    assert not asked[0] & asked[1] and not asked[0] & asked[2] and not asked[1] & asked[2]
    assert (
        (card.dev_rows, card.test_rows, card.train_rows)
        == (len(dev), len(test), len(train))
        == (10, 10, len(train))
    )
    assert card.leaks_removed > 0
    assert card.train_rows + card.leaks_removed + 20 == dataset.rows
    assert (card.dev_fingerprint, card.test_fingerprint) == (fingerprint(dev), fingerprint(test))


def test_the_training_part_is_a_finished_dataset_that_knows_where_it_is_from(
    store: Store, start_job: StartJob, dataset: DatasetCard
) -> None:
    card = golden_job.run(golden(start_job, dataset.dataset_id))
    paths = store.handle(card.train_dataset_id)
    child = read_document(paths.result, DatasetCard)
    assert child is not None
    assert (child.parent_dataset_id, child.golden_set_id) == (dataset.dataset_id, card.golden_set_id)
    assert (child.dataset_id, child.rows) == (card.train_dataset_id, card.train_rows)
    assert child.rows + sum(child.dropped.values()) == child.rows_read == dataset.rows
    assert child.fingerprint == fingerprint(read_rows(paths.rows))
    assert read_events(paths.journal)[-1]["state"] == "succeeded"


def test_a_second_attempt_makes_the_same_again(
    store: Store, start_job: StartJob, dataset: DatasetCard
) -> None:
    job = golden(start_job, dataset.dataset_id)
    first = golden_job.run(job)
    rows = read_rows(store.handle(first.train_dataset_id).rows)
    second = golden_job.run(job)
    assert second.model_dump(exclude={"created_at"}) == first.model_dump(exclude={"created_at"})
    assert read_rows(store.handle(first.train_dataset_id).rows) == rows
    assert fingerprint(read_rows(job.paths.half(Half.DEV))) == second.dev_fingerprint


def test_a_named_column_is_balanced_in_both_halves(start_job: StartJob, dataset: DatasetCard) -> None:
    job = golden(start_job, dataset.dataset_id, stratify_by="kind")
    card = golden_job.run(job)
    for half in Half:
        kinds = [row.extras["kind"] for row in read_rows(job.paths.half(half))]
        assert kinds.count("even") == kinds.count("odd") == 5
    assert sum(card.strata.values()) == 20


def test_an_unknown_column_is_told_with_those_there_are(start_job: StartJob, dataset: DatasetCard) -> None:
    with pytest.raises(UnmappedColumns, match="There are: 'answer', 'kind', 'question'"):
        golden_job.run(golden(start_job, dataset.dataset_id, stratify_by="topic"))


def test_a_dataset_that_is_not_ready_is_told(start_job: StartJob) -> None:
    with pytest.raises(NotReady):
        golden_job.run(golden(start_job, new_handle(Work.LOAD_DATASET)))


def test_a_stop_makes_no_training_dataset(store: Store, start_job: StartJob, dataset: DatasetCard) -> None:
    job = golden(start_job, dataset.dataset_id)
    job.terminated.set()
    with pytest.raises(Stopped):
        golden_job.run(job)
    assert store.handles(Work.LOAD_DATASET) == [dataset.dataset_id]


def test_conversations_can_be_held_out_too(tmp_path: Path, load: Load, start_job: StartJob) -> None:
    rows = [
        {"messages": [{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": "a"}]}
        for n in range(20)
    ]
    card = load(write_jsonl(tmp_path / "a.jsonl", rows))
    job = golden(start_job, card.dataset_id, size=6)
    built = golden_job.run(job)
    assert (built.dev_rows, built.test_rows, built.train_rows) == (3, 3, 14)
    assert read_rows(job.paths.half(Half.DEV))[0].messages[0].role == "user"


def test_training_rows_are_free_of_what_else_is_named(
    tmp_path: Path, load: Load, store: Store, start_job: StartJob, dataset: DatasetCard
) -> None:
    asked = [{"question": f"what is {n} ?", "answer": "?", "kind": "odd"} for n in range(40, 50)]
    other = load(
        write_jsonl(tmp_path / "other.jsonl", [*asked, {"question": "Why?", "answer": "x", "kind": "odd"}])
    )
    card = golden_job.run(golden(start_job, dataset.dataset_id, decontaminate_against=[other.dataset_id]))
    train = store.handle(card.train_dataset_id)
    left = {row.prompt for row in read_rows(train.rows)}
    assert not any(f"What is {n}?" in prompt for prompt in left for n in range(40, 50))
    removed = card.overlaps_removed[other.dataset_id]
    assert 0 < removed <= 10
    child = read_document(train.result, DatasetCard)
    assert child is not None
    assert child.dropped["overlap"] == removed
    assert card.train_rows + card.leaks_removed + removed + 20 == dataset.rows


def test_training_rows_are_free_of_an_earlier_golden_set(
    store: Store, start_job: StartJob, dataset: DatasetCard
) -> None:
    first = golden(start_job, dataset.dataset_id)
    write_document(first.paths.result, golden_job.run(first))
    card = golden_job.run(golden(start_job, dataset.dataset_id, seed=1, decontaminate_against=[first.handle]))
    held_out = {identity(row) for half in Half for row in read_rows(first.paths.half(half))}
    assert not held_out & {identity(row) for row in read_rows(store.handle(card.train_dataset_id).rows)}


def test_rows_that_all_overlap_are_told(start_job: StartJob, dataset: DatasetCard) -> None:
    with pytest.raises(NoRows, match=dataset.dataset_id):
        golden_job.run(golden(start_job, dataset.dataset_id, decontaminate_against=[dataset.dataset_id]))


def test_a_reference_that_is_not_ready_is_told(start_job: StartJob, dataset: DatasetCard) -> None:
    for work in (Work.LOAD_DATASET, Work.BUILD_GOLDEN_SET):
        with pytest.raises(NotReady):
            golden_job.run(golden(start_job, dataset.dataset_id, decontaminate_against=[new_handle(work)]))


def test_retention_rows_come_from_the_named_dataset_and_not_into_training(
    tmp_path: Path, load: Load, store: Store, start_job: StartJob, dataset: DatasetCard
) -> None:
    general = [
        {"text": f"Tale {n}: once there were {n} foxes and {n + 1} hens in wood number {n}."}
        for n in range(50)
    ]
    source = load(write_jsonl(tmp_path / "general.jsonl", general))
    job = golden(start_job, dataset.dataset_id, retention_dataset_id=source.dataset_id)
    card = golden_job.run(job)
    kept = read_rows(job.paths.retention)
    assert card.retention_rows == len(kept) > 0
    assert card.retention_fingerprint == fingerprint(kept)
    assert all(row.completion.startswith("Tale") for row in kept)
    assert card.overlaps_removed == {"retention": 0}


def test_answers_that_come_again_and_again_are_strata(
    tmp_path: Path, load: Load, start_job: StartJob
) -> None:
    rows = [{"text": f"case {n} of {n * n}", "label": "Good" if n % 4 else "bad"} for n in range(100)]
    job = golden(start_job, load(write_jsonl(tmp_path / "a.jsonl", rows)).dataset_id)
    golden_job.run(job)
    for half in Half:
        answers = [row.completion for row in read_rows(job.paths.half(half))]
        assert abs(answers.count("bad") - 2.5) < 1


def test_the_training_part_keeps_what_is_known_of_its_rows(
    store: Store, start_job: StartJob, dataset: DatasetCard
) -> None:
    source = store.handle(dataset.dataset_id)
    rows = [row.number for row in read_rows(source.rows)]
    found = Flags()
    found.add_all("too_short", rows, [-1] * len(rows))
    write_flags(source.flags, Flags(), found)
    train = store.handle(golden_job.run(golden(start_job, dataset.dataset_id)).train_dataset_id)
    dropped, kept = read_flags(train.flags)
    left = [row.number for row in read_rows(train.rows)]
    assert kept.rows("too_short").tolist() == left
    assert dropped.count("held_out") == 20 and len(left) + sum(map(dropped.count, dropped.kinds())) == len(
        rows
    )

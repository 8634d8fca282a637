"""Job contexts on a store of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.data.inputs import Load, StartJob, request_for
from tunesmith.jobs.context import JobContext
from tunesmith.jobs.files import write_document
from tunesmith.jobs.journal import Journal
from tunesmith.jobs.paths import Store
from tunesmith.schemas.base import Document
from tunesmith.schemas.datasets import DatasetCard
from tunesmith.schemas.enums import Work
from tunesmith.schemas.handles import new_handle


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def start_job(store: Store) -> StartJob:
    """Makes the folder of a handle with its request, as a tool does, and the context of its first attempt."""

    def start(work: Work, request: Document) -> JobContext:
        paths = store.handle(new_handle(work))
        paths.folder.mkdir(parents=True)
        write_document(paths.request, request)
        return JobContext(store, paths, Journal(paths.journal, attempt=1))

    return start


@pytest.fixture
def load(start_job: StartJob) -> Load:
    """Loads a local path and stores the card as the worker does."""

    from tunesmith.data import load_job

    def load_path(path: Path, **arguments: Any) -> DatasetCard:
        job = start_job(Work.LOAD_DATASET, request_for(path, **arguments))
        card = load_job.run(job)
        write_document(job.paths.result, card)
        return card

    return load_path

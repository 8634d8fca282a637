"""A training keeps what its journal adds up to at its commits: nobody has to have asked about it before."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("transformers")

from tests.support.written_runs import began, progressed, run_handle, write_run
from tunesmith.jobs import ledger_sidecar
from tunesmith.jobs.context import JobContext
from tunesmith.jobs.journal import Journal
from tunesmith.jobs.paths import Store
from tunesmith.jobs.snapshot import Observer
from tunesmith.training import checkpoints
from tunesmith.training.reporting import Calendar, Reporter

STEPS = 2000


def test_a_commit_of_a_long_run_leaves_little_to_read_for_whoever_asks(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    paths = write_run(store, run_handle(1), [*began(), *map(progressed, range(1, STEPS + 1))])
    job = JobContext(store, paths, Journal(paths.journal, attempt=1))
    reporter = Reporter(job, Calendar(STEPS, STEPS, STEPS), lambda model: None, learning_rate=1e-4)
    monkeypatch.setattr(checkpoints, "commit", lambda *_: None)
    reporter.on_save(SimpleNamespace(output_dir=str(tmp_path)), SimpleNamespace(global_step=STEPS), None)
    position, kept = ledger_sidecar._read(paths)
    assert position == paths.journal.stat().st_size
    assert kept.checkpoint_step == STEPS
    assert Observer(store).look(run_handle(1)).ledger == kept

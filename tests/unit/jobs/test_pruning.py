"""What changes between a proposal and its removal, and what a pruned run says about itself."""

from __future__ import annotations

import shutil

import pytest

from tests.support.ended_runs import contents, make_run
from tunesmith.jobs import lease, pruning, submission
from tunesmith.jobs.lease import Lease, Liveness, Look
from tunesmith.jobs.paths import Store
from tunesmith.jobs.pruning import Kept, Pruner, Selection, require_checkpoints
from tunesmith.jobs.snapshot import Observer
from tunesmith.schemas.errors import InvalidArgument


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def pruner(store):
    return Pruner(Observer(store))


def named(run):
    return Selection(handles=frozenset([run.handle]))


@pytest.mark.parametrize("whole", [False, True], ids=["checkpoints", "run"])
def test_a_run_that_was_asked_to_go_on_after_the_proposal_stays(store, pruner, whole):
    run = make_run(store, "succeeded")
    (item,) = (pruner.propose_runs(named(run)) if whole else pruner.propose_spare()).items
    submission.requeue(store, run.handle, 2)
    before = contents(run)
    with pytest.raises(Kept, match="queued"):
        pruner.remove(item)
    assert contents(run) == before


@pytest.mark.parametrize("whole", [False, True], ids=["checkpoints", "run"])
def test_a_run_that_is_asked_to_go_on_while_its_lease_is_being_taken_stays(store, pruner, whole, monkeypatch):
    run = make_run(store, "succeeded")
    (item,) = (pruner.propose_runs(named(run)) if whole else pruner.propose_spare()).items

    class LateLease(Lease):
        @classmethod
        def acquire(cls, path):
            submission.requeue(store, run.handle, 2)
            return Lease.acquire(path)

    monkeypatch.setattr(pruning, "Lease", LateLease)
    with pytest.raises(Kept, match="just asked"):
        pruner.remove(item)
    assert len(list(run.checkpoints.iterdir())) == 2
    assert lease.holder(run.lease) is None


def test_a_lease_that_nobody_can_judge_keeps_everything(store, pruner, monkeypatch):
    run = make_run(store, "succeeded")
    run.scratch.mkdir()
    monkeypatch.setattr(pruning, "look", lambda path: Look(Liveness.UNKNOWN, why="no locks here"))
    assert pruner.propose_spare().items == []
    assert "no locks here" in pruner.propose_runs(named(run)).kept[run.handle]


def test_a_held_lease_keeps_the_run_and_a_free_one_is_free_again_afterwards(store, pruner):
    run = make_run(store, "succeeded")
    (item,) = pruner.propose_spare().items
    held = Lease.acquire(run.lease)
    with pytest.raises(Kept):
        pruner.remove(item)
    held.release()
    pruner.remove(item)
    assert not run.checkpoints.exists()
    assert lease.holder(run.lease) is None
    assert Lease.acquire(run.lease) is not None


def test_checkpoints_stay_when_the_adapter_is_gone_by_then(store, pruner):
    run = make_run(store, "succeeded")
    (item,) = pruner.propose_spare().items
    shutil.rmtree(run.adapter)
    with pytest.raises(Kept, match="no adapter"):
        pruner.remove(item)


def test_going_on_from_checkpoints_that_were_removed_is_refused_with_the_way_out(store, pruner):
    run = make_run(store, "succeeded")
    require_checkpoints(pruner._observer, run.handle)
    (item,) = pruner.propose_spare().items
    pruner.remove(item)
    with pytest.raises(InvalidArgument) as refused:
        require_checkpoints(pruner._observer, run.handle)
    assert "those up to step 20 were removed. Its adapter is there." in refused.value.message
    assert "without resume_run_id" in refused.value.recovery


def test_a_run_that_was_stopped_before_its_first_checkpoint_may_begin_again(store):
    run = make_run(store, "stopped", steps=())
    require_checkpoints(Observer(store), run.handle)

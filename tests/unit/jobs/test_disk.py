"""What the store takes on its disk, and whether the disk has room for one more run."""

from __future__ import annotations

import os
import shutil

import pytest

from tests.support.ended_runs import BLOCK_BYTES, make_plan, make_run
from tunesmith.jobs import disk, room
from tunesmith.jobs.disk import free_bytes, use_of
from tunesmith.jobs.paths import Store
from tunesmith.jobs.room import adapter_bytes, checkpoint_bytes, require_room
from tunesmith.schemas.errors import DiskFull


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def disk_with(monkeypatch):
    """Makes the store's disk one with so many bytes left."""
    return lambda left: monkeypatch.setattr(room, "free_bytes", lambda store: left)


def test_a_folder_takes_the_blocks_of_its_files_and_not_their_lengths(tmp_path):
    empty = use_of([tmp_path]).taken_bytes
    (tmp_path / "short").write_bytes(b"x")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10_000_000)
    assert use_of([tmp_path]).taken_bytes - empty == (tmp_path / "short").stat().st_blocks * 512


def test_a_file_with_two_names_counts_once(tmp_path):
    (tmp_path / "one").write_bytes(b"x" * BLOCK_BYTES)
    before = use_of([tmp_path])
    os.link(tmp_path / "one", tmp_path / "two")
    assert use_of([tmp_path]) == before


def test_a_file_that_has_a_name_elsewhere_takes_room_but_frees_none(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "one").write_bytes(b"x" * BLOCK_BYTES)
    alone = use_of([tmp_path / "here"])
    os.link(tmp_path / "here" / "one", tmp_path / "elsewhere")
    shared = use_of([tmp_path / "here"])
    assert shared.taken_bytes == alone.taken_bytes == alone.freed_bytes
    assert shared.freed_bytes == alone.freed_bytes - BLOCK_BYTES
    assert use_of([tmp_path / "here", tmp_path / "elsewhere"]).freed_bytes == alone.freed_bytes


@pytest.mark.row("S7")
def test_what_a_link_leads_to_does_not_count(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_bytes(b"x" * 50 * BLOCK_BYTES)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "link").symlink_to(tmp_path / "outside")
    assert use_of([tmp_path / "here", tmp_path / "here" / "link"]).taken_bytes < 10 * BLOCK_BYTES


def test_what_is_gone_takes_nothing(tmp_path):
    assert use_of([tmp_path / "gone"]) == disk.Use(0, 0)


def test_a_store_that_is_not_there_yet_has_its_parents_disk(store):
    assert free_bytes(store) == pytest.approx(shutil.disk_usage(store.root.parent).free, rel=0.1)


def test_a_run_starts_where_its_checkpoints_and_the_adapter_just_fit(store, disk_with):
    plan = make_plan()
    needed = 3 * checkpoint_bytes(plan) + adapter_bytes(plan)
    disk_with(needed)
    require_room(store, plan)
    disk_with(needed - 1)
    with pytest.raises(DiskFull):
        require_room(store, plan)


def test_the_best_weights_of_early_stopping_need_room_of_their_own(store, disk_with):
    disk_with(3 * checkpoint_bytes(make_plan()) + adapter_bytes(make_plan()))
    with pytest.raises(DiskFull, match="best weights"):
        require_room(store, make_plan(early_stopping_patience=3))


def test_a_refusal_says_how_much_is_missing_and_how_much_pruning_would_free(store, disk_with):
    make_run(store, "succeeded", steps=(1, 2, 3, 4))
    plan = make_plan()
    checkpoint, adapter = checkpoint_bytes(plan), adapter_bytes(plan)
    disk_with(3 * checkpoint + adapter - 100_000)
    with pytest.raises(DiskFull) as refused:
        require_room(store, plan)
    assert f"and one being written ({checkpoint / 1e3:,.0f} kB each) and the adapter" in str(refused.value)
    assert f"the adapter ({adapter / 1e3:,.0f} kB)" in refused.value.message
    assert f"needs {(3 * checkpoint + adapter) / 1e3:,.0f} kB" in refused.value.message
    assert "tunesmith runs prune --yes on that machine, which frees 1" in refused.value.recovery


def test_a_refusal_that_pruning_does_not_help_names_the_way_to_whole_runs(store, disk_with):
    make_run(store, "succeeded")
    disk_with(0)
    with pytest.raises(DiskFull) as refused:
        require_room(store, make_plan())
    assert "frees only" in refused.value.recovery
    assert "tunesmith runs --disk" in refused.value.recovery
    assert "--older-than" in refused.value.recovery


def test_states_of_eight_bits_are_expected_to_take_less_only_where_all_is_trained():
    large = {"gradients": 28 * 10**9, "optimizer": 14 * 10**9}
    full = make_plan(large, tuning_method="full", optim="adamw_8bit")
    assert checkpoint_bytes(full) < checkpoint_bytes(
        make_plan(large, tuning_method="lora", optim="adamw_8bit")
    )


def test_an_adapter_begun_with_the_bases_weights_is_written_with_twice_the_rank():
    large = {"gradients": 10**9, "optimizer": 2 * 10**9}
    ordinary, pissa = make_plan(large), make_plan(large, init_lora_weights="pissa")
    assert adapter_bytes(pissa) == pytest.approx(2 * adapter_bytes(ordinary), rel=0.01)
    assert checkpoint_bytes(pissa) == checkpoint_bytes(ordinary)


def test_a_hub_bases_tokenizer_is_expected_to_be_a_large_one():
    hub = make_plan(base_model="org/name", base_model_kind="hub")
    assert adapter_bytes(hub) > adapter_bytes(make_plan()) + 30_000_000

"""A handle appears entirely or not at all, and once."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.fake_jobs import FakeRequest
from tunesmith.jobs.paths import Store
from tunesmith.jobs.submission import create
from tunesmith.schemas.enums import Work
from tunesmith.schemas.errors import DiskFull, RequestKeyReused
from tunesmith.schemas.handles import derived_handle, is_handle, new_handle


def test_eight_racing_calls_with_one_key_create_one_handle(tmp_path):
    store = Store(tmp_path / "store")
    handle = derived_handle(Work.TRAIN, "plan-x", "key")
    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(lambda _: create(store, handle, FakeRequest(behaviour="none")), range(8)))
    assert created.count(True) == 1
    assert store.handles(Work.TRAIN) == [handle]
    assert os.listdir(store.folder_of(Work.TRAIN)) == [handle]  # no half-made folder is left


def test_the_same_key_with_other_arguments_is_refused(tmp_path):
    store = Store(tmp_path)
    handle = derived_handle(Work.TRAIN, "plan-x", "key")
    create(store, handle, FakeRequest(behaviour="none", created_at="now"))
    assert create(store, handle, FakeRequest(behaviour="none", created_at="later")) is False
    with pytest.raises(RequestKeyReused, match=handle):
        create(store, handle, FakeRequest(behaviour="other"))


def test_a_full_disk_leaves_nothing_behind(tmp_path):
    store = Store(tmp_path)

    def fill(_paths):
        raise OSError(28, "No space left on device")

    with pytest.raises(DiskFull, match="disk"):
        create(store, new_handle(Work.TRAIN), FakeRequest(behaviour="none"), fill)
    assert os.listdir(store.folder_of(Work.TRAIN)) == []


def test_a_handle_whose_maker_died_before_queueing_it_is_queued_by_the_next_call(tmp_path):
    store = Store(tmp_path)
    handle = derived_handle(Work.TRAIN, "plan-x", "key")
    create(store, handle, FakeRequest(behaviour="none"))
    store.queued(handle).unlink()
    assert create(store, handle, FakeRequest(behaviour="none")) is False
    assert store.queued(handle).exists()


def test_handles_are_random_well_formed_and_derived_ones_repeat():
    handles = {new_handle(Work.TRAIN) for _ in range(100)}
    assert len(handles) == 100
    assert all(is_handle(handle, "run") for handle in handles)
    assert derived_handle(Work.TRAIN, "a", "b") == derived_handle(Work.TRAIN, "a", "b")
    assert derived_handle(Work.TRAIN, "a", "b") != derived_handle(Work.TRAIN, "ab", "")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "run-",
        "run-short",
        "../run-aaaaaaaaaaaaaaaa",
        "run-aaaaaaaaaaaaaaaa\n",
        "run-AAAAAAAAAAAAAAAA",
        "plan-aaaaaaaaaaaaaaaa/../x",
    ],
)
def test_what_is_no_handle_is_told_apart(value):
    assert not is_handle(value)

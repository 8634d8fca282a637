"""First come, first served, whatever the clock does."""

from __future__ import annotations

import os

import pytest

from tunesmith.jobs.paths import Store
from tunesmith.jobs.queue import Queue
from tunesmith.schemas.enums import Work
from tunesmith.schemas.handles import new_handle


@pytest.fixture
def queue(tmp_path):
    (tmp_path / "store").mkdir()
    return Queue(Store(tmp_path / "store"))


def added(queue, count):
    handles = [new_handle(Work.TRAIN) for _ in range(count)]
    for handle in handles:
        queue.add(handle)
    return handles


def test_a_queue_that_nobody_has_used_is_empty(queue):
    assert queue.handles() == []


@pytest.mark.row("R13")
def test_the_order_is_that_of_arrival_also_when_the_clock_jumps_back(queue):
    handles = added(queue, 5)
    for age, handle in enumerate(handles):
        os.utime(queue.store.queued(handle), (1e9 - age * 1e7, 1e9 - age * 1e7))
    assert queue.handles() == handles


def test_asking_again_keeps_the_place(queue):
    first, second = added(queue, 2)
    queue.add(first)
    assert queue.handles() == [first, second]


def test_who_leaves_and_comes_again_is_last(queue):
    first, second = added(queue, 2)
    queue.remove(first)
    queue.add(first)
    assert queue.handles() == [second, first]
    queue.remove(first)
    queue.remove(first)
    assert queue.handles() == [second]


def test_a_place_that_cannot_be_read_comes_first_and_foreign_files_do_not_count(queue):
    first, second = added(queue, 2)
    queue.store.queued(second).write_bytes(b"\0\0\0")
    (queue.store.queue / "README").write_text("9")
    assert queue.handles() == [second, first]

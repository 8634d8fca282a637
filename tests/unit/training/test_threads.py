from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tunesmith.training import threads


@pytest.fixture(autouse=True)
def eight_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(8)
    yield
    torch.set_num_threads(before)


def measured(monkeypatch: pytest.MonkeyPatch, speeds: dict[int, float]) -> int:
    monkeypatch.setattr(threads, "_speeds", lambda candidates, _: {each: speeds[each] for each in candidates})
    return threads.choose_threads(64)


def test_all_threads_are_used_where_they_are_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured(monkeypatch, {8: 4.0, 4: 3.0, 2: 2.0, 1: 1.0}) == 8


def test_fewer_are_used_where_a_neighbour_makes_them_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured(monkeypatch, {8: 0.5, 4: 1.0, 2: 3.0, 1: 2.0}) == 2


def test_a_difference_within_the_noise_costs_no_core(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured(monkeypatch, {8: 1.0, 4: 1.02, 2: 1.04, 1: 0.9}) == 8


def test_measuring_leaves_the_number_of_threads_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_ROUND_S", 0.0)
    torch.set_num_threads(2)

    assert threads.choose_threads(16) in (1, 2)
    assert torch.get_num_threads() == 2


def test_nothing_is_measured_where_one_thread_is_all_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)

    assert measured(monkeypatch, {}) == 1


def test_a_resumed_run_gets_its_threads_unless_the_machine_has_fewer_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)

    assert threads.usable_threads(2) == 2
    assert threads.usable_threads(64) == 2

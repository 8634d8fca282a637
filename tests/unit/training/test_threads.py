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
    return threads.choose_threads(64, 256)


def test_all_threads_are_used_where_they_are_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured(monkeypatch, {8: 4.0, 4: 3.0, 2: 2.0, 1: 1.0}) == 8


def test_fewer_are_used_where_a_neighbour_makes_them_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured(monkeypatch, {8: 0.5, 4: 1.0, 2: 3.0, 1: 2.0}) == 2


def test_a_difference_within_the_noise_costs_no_core(monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured(monkeypatch, {8: 1.0, 4: 1.02, 2: 1.04, 1: 0.9}) == 8


def test_measuring_leaves_the_number_of_threads_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_ROUND_S", 0.0)
    torch.set_num_threads(2)

    assert threads.choose_threads(16, 32) in (1, 2)
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


class Neighbours:
    """Chooses by what it is told; counts how often it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.best, self.asked, self.now = 8, 0, 0.0
        monkeypatch.setattr(threads, "choose_threads", self.choose)
        monkeypatch.setattr(threads.clock, "boot_s", lambda: self.now)

    def choose(self, hidden_size: int, tokens: int) -> int:
        assert torch.get_num_threads() == 8, "all that are allowed are looked at"
        self.asked += 1
        return self.best

    def steps(self, training: threads.Threads, seconds: float, count: int = 4) -> None:
        for _ in range(count):
            self.now += seconds
            training.step_took(seconds, 1000)


@pytest.fixture
def neighbours(monkeypatch: pytest.MonkeyPatch) -> Neighbours:
    monkeypatch.setattr(threads.torch.cuda, "is_available", lambda: False)
    return Neighbours(monkeypatch)


def test_a_training_that_a_neighbour_slows_down_looks_for_fewer_threads(neighbours: Neighbours) -> None:
    training = threads.Threads(64, 256)
    training.choose()
    neighbours.steps(training, 1.0)
    neighbours.best = 1
    neighbours.steps(training, 1.3)
    assert torch.get_num_threads() == 8, "a little slower is noise"

    neighbours.steps(training, 3.0)

    assert (torch.get_num_threads(), neighbours.asked) == (1, 2)


def test_it_takes_the_cores_again_when_the_neighbour_has_gone(neighbours: Neighbours) -> None:
    neighbours.best = 1
    training = threads.Threads(64, 256)
    training.choose()
    neighbours.steps(training, 1.0)
    assert torch.get_num_threads() == 1
    neighbours.best = 8

    neighbours.steps(training, 1.0, count=20)

    assert (torch.get_num_threads(), neighbours.asked) == (8, 2)


def test_a_resumed_training_keeps_its_threads_and_looks_once_a_while_has_passed(
    neighbours: Neighbours,
) -> None:
    training = threads.Threads(64, 256)
    training.keep(2)
    kept = torch.get_num_threads()
    neighbours.steps(training, 1.0)
    assert (torch.get_num_threads(), neighbours.asked) == (kept, 0)

    neighbours.steps(training, 1.0, count=60)

    assert (torch.get_num_threads(), neighbours.asked) == (8, 1)


def test_with_one_thread_allowed_nothing_is_ever_looked_at(neighbours: Neighbours) -> None:
    torch.set_num_threads(1)
    training = threads.Threads(64, 256)

    neighbours.steps(training, 1.0)
    neighbours.steps(training, 100.0)

    assert neighbours.asked == 0


def test_a_neighbour_that_stays_is_looked_at_ever_more_seldom_until_it_goes(neighbours: Neighbours) -> None:
    neighbours.best = 1
    training = threads.Threads(64, 256)
    training.choose()
    neighbours.steps(training, 1.0, count=3600)
    assert 15 < neighbours.asked < 20, "an hour beside it: at 15 s, 30, 60, 120 and then every four minutes"

    neighbours.best = 8
    neighbours.steps(training, 1.0, count=300)
    assert torch.get_num_threads() == 8
    neighbours.best = 1
    neighbours.steps(training, 3.0)
    neighbours.best = 8
    neighbours.steps(training, 1.0, count=20)

    assert torch.get_num_threads() == 8, "one that comes anew is looked at soon again"


def test_what_a_training_left_unused_is_there_for_the_next(neighbours: Neighbours) -> None:
    neighbours.best = 1
    training = threads.Threads(64, 256)
    training.choose()
    assert torch.get_num_threads() == 1

    training.release()

    assert torch.get_num_threads() == 8

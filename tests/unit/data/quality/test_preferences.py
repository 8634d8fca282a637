"""Preference pairs that contradict each other."""

from __future__ import annotations

from tunesmith.data.quality.flags import Flags
from tunesmith.data.quality.preferences import Preferences
from tunesmith.data.rows import Row


def contradictions(*pairs: tuple[str, str, str]) -> dict[int, int]:
    seen, flags = Preferences(), Flags()
    for number, (prompt, chosen, rejected) in enumerate(pairs, start=1):
        seen.add(Row(number, prompt, chosen, rejected=rejected))
    seen.flag(flags)
    kind = "contradicting_pair"
    return dict(zip(flags.rows(kind).tolist(), flags.of(kind).tolist(), strict=True))


def test_a_later_pair_that_prefers_the_other_answer_contradicts_the_first() -> None:
    assert contradictions(("q", "a", "b"), ("r", "a", "b"), ("q", "b", "a")) == {3: 1}


def test_the_same_preference_twice_is_no_contradiction() -> None:
    assert contradictions(("q", "a", "b"), ("q", "a", "b"), ("q", "a", "c")) == {}


def test_equal_answers_contradict_nothing() -> None:
    assert contradictions(("q", "a", "a"), ("q", "a", "a")) == {}


def test_without_pairs_nothing_is_flagged() -> None:
    assert contradictions() == {}


def test_what_two_processes_saw_is_compared() -> None:
    first, second, flags = Preferences(), Preferences(), Flags()
    first.add(Row(1, "q", "a", rejected="b"))
    second.add(Row(2, "q", "b", rejected="a"))
    first.merge(second)
    first.flag(flags)
    assert flags.rows("contradicting_pair").tolist() == [2]

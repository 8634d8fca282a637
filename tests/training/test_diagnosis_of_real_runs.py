"""Faults planted in real trainings of the demo model are found, and proposals help; sound runs are left alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.diagnosis import BETTER, DEMO_WIDTH, Outcome, lanes, run
from benchmarks.planted_faults import Case, cases, order_rows, sound
from benchmarks.planted_runs import Lane
from tunesmith.schemas.enums import TuningMethod
from tunesmith.training.learning_rates import scaled_learning_rate

USUAL = scaled_learning_rate(TuningMethod.LORA, DEMO_WIDTH)
QUICK = ("masked answers", "answers cut at max_length", "duplicated rows", "adapter without effect")


@pytest.fixture(scope="module")
def by_task(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Lane]]:
    yield lanes(tmp_path_factory.mktemp("lanes"))


def planted(name: str) -> Case:
    (found,) = (case for case in cases(USUAL) if case.name == name)
    return found


def outcomes(by_task: dict[str, Lane], chosen: list[Case], fix: bool) -> list[Outcome]:
    return [run(by_task[case.task], case, fix) for case in chosen]


def shortened(case: Case) -> Case:
    """The same fault in as many steps as it takes to show."""
    kept = {name: value for name, value in case.arguments.items() if name != "epochs"}
    return Case(**{**vars(case), "rows": case.rows[:80], "arguments": {**kept, "max_steps": 20}})


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_fault_is_found_in_a_few_steps(by_task: dict[str, Lane], name: str) -> None:
    case = planted(name) if name == "duplicated rows" else shortened(planted(name))
    outcome = run(by_task[case.task], case, fix=False)
    assert outcome.found, outcome.codes


def test_a_rate_far_too_low_is_found_and_the_proposed_one_lowers_the_golden_loss(
    by_task: dict[str, Lane],
) -> None:
    case = shortened(planted("learning rate / 1000"))
    outcome = run(by_task[case.task], case, fix=True)
    assert outcome.found, outcome.codes
    assert outcome.fixed is not None and outcome.fixed < BETTER * outcome.loss


def test_a_sound_run_gets_no_serious_finding(by_task: dict[str, Lane]) -> None:
    outcome = run(by_task["orders"], Case("sound", frozenset(), order_rows(80)), fix=False)
    assert outcome.serious == []


def test_what_a_run_learns_from_and_how_it_goes_is_in_its_journal(
    by_task: dict[str, Lane], tmp_path: Path
) -> None:
    from tunesmith.jobs.journal import read_events

    lane = by_task["orders"]
    paths = lane.train(lane.plan(lane.load(order_rows(40)).dataset_id, max_steps=6))
    events = {event["event"]: event for event in read_events(paths.journal)}

    assert events["inputs"]["rows"] == events["inputs"]["ended_rows"] == 40
    assert 0.1 < events["inputs"]["loss_tokens"] / events["inputs"]["tokens"] < 0.9
    assert events["progress"]["peak_memory_bytes"] < events["inputs"]["memory_bytes"]
    assert events["progress"]["grad_norm"] > 0
    assert 0 <= events["progress"]["data_wait"] <= 1
    assert events["prompt_use"]["base_swapped_loss"] > events["prompt_use"]["base_own_loss"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_planted_fault_is_found_and_eight_of_ten_proposals_help(by_task: dict[str, Lane]) -> None:
    told = outcomes(by_task, cases(USUAL), fix=True)
    assert [outcome.case.name for outcome in told if not outcome.found] == []
    tried = [one for one in told if one.fixed is not None and one.case.fixed_by == "arguments"]
    assert len(tried) >= 10
    assert sum(one.is_better for one in tried) >= 0.8 * len(tried)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_sound_run_of_twenty_gets_a_serious_finding(by_task: dict[str, Lane]) -> None:
    told = outcomes(by_task, sound(), fix=False)
    assert {one.case.name: one.serious for one in told if one.serious} == {}
    assert len(told) == 20

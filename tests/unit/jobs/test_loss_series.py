"""However long a run is, its losses fit into a bounded series that still tells what happened."""

from __future__ import annotations

from statistics import fmean

from hypothesis import given
from hypothesis import strategies as st

from tunesmith.diagnosis.findings import RunHistory, diagnose
from tunesmith.jobs.series import HEAD, MERGED, RECENT, Series
from tunesmith.schemas.enums import RunState

LIMIT = HEAD + MERGED + RECENT


def series_of(points):
    series = Series()
    for step, loss in points:
        series.add(step, loss)
    return series


def line(count, loss=lambda step: 1.0 + 1.0 / step):
    return [(step, loss(step)) for step in range(1, count + 1)]


def test_a_series_that_fits_keeps_every_point():
    points = line(LIMIT)
    assert series_of(points).points == points


def test_a_million_points_stay_bounded_with_both_ends_exact_and_the_mean_kept():
    points = line(1_000_000)
    series = series_of(points)
    assert len(series.points) <= LIMIT
    assert series.points[:HEAD] == points[:HEAD]
    assert series.points[-RECENT:] == points[-RECENT:]
    assert sum(count for _, _, count in series.merged) == len(points) - HEAD - RECENT
    weighted = sum(loss * count for _, loss, count in series.merged) / (len(points) - HEAD - RECENT)
    assert abs(weighted - fmean(loss for _, loss in points[HEAD:-RECENT])) < 1e-9
    steps = [step for step, _ in series.points]
    assert steps == sorted(set(steps))


def test_a_repeated_step_replaces_it_and_all_later_ones_wherever_they_are_kept():
    for back_to in (LIMIT * 4 - 10, LIMIT * 2, HEAD // 2, 1):
        series = series_of(line(LIMIT * 4))
        series.add(back_to, 9.0)
        assert series.points[-1] == (back_to, 9.0)
        assert all(step < back_to for step, _ in series.points[:-1])
        assert 9.0 not in [loss for _, loss in series.points[:-1]]


@given(st.lists(st.integers(1, 4000), min_size=1, max_size=60), st.integers(0, 3000))
def test_whatever_is_repeated_steps_rise_and_the_newest_point_is_exact(steps, before):
    series = series_of(line(before))
    for at, step in enumerate(steps):
        series.add(step, float(at))
        assert series.points[-1] == (step, float(at))
        told = [step for step, _ in series.points]
        assert told == sorted(set(told))


def findings_of(points):
    history = RunHistory("run-x", RunState.SUCCEEDED, points, [], None, total_steps=points[-1][0])
    return [finding.code for finding in diagnose(history)]


def test_a_long_run_gets_the_findings_that_all_of_its_points_would_give():
    jitter = [0.02, -0.03, 0.01, 0.0, -0.01, 0.03, -0.02]
    learns = line(60_000, lambda step: 0.5 + 2.0 / (1 + step / 2000) + jitter[step % 7])
    flat = line(60_000, lambda step: 2.0 + jitter[step % 7])
    climbs = line(60_000, lambda step: 3.0 - 2.0 * step / 30_000 if step <= 30_000 else 1.0 + step / 30_000)
    for points, codes in ((learns, []), (flat, ["not_learning"]), (climbs, ["diverged"])):
        assert findings_of(points) == codes
        assert findings_of(series_of(points).points) == codes

"""The picture of a run's curves."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import pytest

from tests.support.written_runs import began, evaluated, finished, progressed, run_handle, write_run
from tunesmith.jobs.curves import Curves, loss_range, rate_text, trend
from tunesmith.jobs.paths import Store
from tunesmith.jobs.snapshot import Observer
from tunesmith.training.panels import draw_panels

MOST_BYTES = 60_000
CURVES = Curves(
    losses=[(step, 1 + 2 / step) for step in range(1, 80)],
    held_out=[(40, 1.3), (79, 1.2)],
    base_loss=3.0,
    rates=[(step, 2e-4) for step in range(1, 80)],
    speeds=[(step, 4000.0 + step) for step in range(1, 80)],
    checkpoints=[40],
    resumes=[(2, 41)],
    total_steps=100,
)


def colours(picture):
    """The decoded picture's pixels by colour."""
    from PIL import Image

    image = Image.open(BytesIO(picture)).convert("RGB")
    return {colour: count for count, colour in image.getcolors(maxcolors=1 << 16)}


def test_the_same_curves_make_the_same_picture():
    assert draw_panels(CURVES, "a") == draw_panels(CURVES, "a")


@pytest.mark.parametrize(
    "change",
    [
        {"losses": [(step, 1 + 3 / step) for step in range(1, 80)]},
        {"held_out": [(40, 1.3)]},
        {"base_loss": None},
        {"base_loss": 2.0},
        {"rates": [(step, 1e-4) for step in range(1, 80)]},
        {"speeds": [(step, 3000.0) for step in range(1, 80)]},
        {"checkpoints": []},
        {"resumes": []},
        {"total_steps": 120},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_the_journal_tells_changes_the_picture(change):
    assert draw_panels(replace(CURVES, **change), "a") != draw_panels(CURVES, "a")


def test_what_was_measured_stands_out_from_the_ground():
    held_out, none = (
        colours(draw_panels(CURVES, "a")),
        colours(draw_panels(replace(CURVES, held_out=[]), "a")),
    )

    def orange(found):
        return sum(n for (red, green, blue), n in found.items() if red > 150 and green < 110 and blue < 80)

    assert orange(held_out) > 300
    assert orange(none) == 0
    assert held_out[255, 255, 255] > 0.8 * 900 * 640


def test_a_single_held_out_loss_keeps_its_colour():
    found = colours(draw_panels(replace(CURVES, held_out=[(79, 1.2)]), "a"))
    assert found.get((194, 65, 12), 0) > 20


def test_a_single_step_is_drawn():
    one = Curves([(1, 2.0)], [], None, [(1, 1e-4)], [(1, 10.0)], [], [], None)
    assert draw_panels(one, "a").startswith(b"\x89PNG")


def test_a_long_and_noisy_run_stays_small():
    steps = range(1, 2001)
    noisy = [(step, 2 + (step * 7919 % 1000) / 500) for step in steps]
    curves = replace(
        CURVES, losses=noisy, rates=noisy, speeds=noisy, checkpoints=list(steps)[::50], total_steps=2000
    )
    assert len(draw_panels(curves, "a")) <= MOST_BYTES


def test_a_resumed_attempt_replaces_the_steps_that_it_repeats_and_is_marked(tmp_path):
    run = run_handle(1)
    again = [{**progressed(step), "attempt": 2, "loss": 0.5, "tokens_per_s": 99.0} for step in (7, 8)]
    checkpoints = [{"event": "checkpoint", "attempt": 1, "step": step} for step in (3, 6)]
    repeated = {"event": "checkpoint", "attempt": 2, "step": 6}
    events = [*began(), evaluated(0, 3.0), *map(progressed, range(1, 11)), *checkpoints]
    write_run(Store(tmp_path), run, [*events, {"event": "requeued", "attempt": 2}, repeated, *again])
    curves = Curves.of(Observer(Store(tmp_path)).look(run).ledger)
    assert [step for step, _ in curves.losses] == list(range(1, 9))
    assert curves.losses[-2:] == [(7, 0.5), (8, 0.5)]
    assert curves.speeds[-1] == (8, 99.0)
    assert len(curves.rates) == 8
    assert curves.resumes == [(2, 7)]
    assert curves.checkpoints == [3, 6]
    assert (curves.base_loss, curves.held_out) == (3.0, [])


def test_a_run_that_was_read_has_its_own_curves(tmp_path):
    write_run(Store(tmp_path), run_handle(1), [*began(), progressed(1), finished()])
    ledger = Observer(Store(tmp_path)).look(run_handle(1)).ledger
    assert Curves(**Curves.of(ledger).as_json()) == Curves.of(ledger)


@pytest.mark.parametrize(
    ("told", "total", "end"), [(79, 100, 100), (50, 100, 100), (10, 100, 11), (120, 100, 120), (9, None, 9)]
)
def test_a_run_is_drawn_to_its_end_once_it_is_half_way(told, total, end):
    assert replace(CURVES, losses=[(told, 1.0)], held_out=[], total_steps=total).end == end


def test_a_trend_smooths_noise_and_keeps_a_straight_line():
    line = [(step, 3.0 - 0.01 * step) for step in range(200)]
    middle = slice(20, 180)
    assert [value for _, value in trend(line)][middle] == pytest.approx([value for _, value in line][middle])
    noisy = [(step, value + (0.5 if step % 2 else -0.5)) for step, value in line]
    gaps = [abs(smooth - value) for (_, smooth), (_, value) in zip(trend(noisy), line, strict=True)]
    assert max(gaps[middle]) < 0.15
    assert [value for _, value in trend(line[:3])] == pytest.approx([3.0, 2.99, 2.98])


def test_one_wild_step_does_not_flatten_the_rest():
    wild = [(step, 50.0 if step == 60 else loss) for step, loss in CURVES.losses]
    bottom, top = loss_range(replace(CURVES, losses=wild))
    assert (bottom, top < 20) == (0.0, True)


def test_a_loss_that_hardly_moves_is_not_drawn_from_nought_on():
    flat = Curves([(step, 3.0 + step / 1000) for step in range(1, 50)], [], None, [], [], [], [], 50)
    bottom, top = loss_range(flat)
    assert 2.9 < bottom < 3.0 < top < 3.2


@pytest.mark.parametrize(
    ("rate", "text"),
    [(0.0, "0"), (0.01, "0.01"), (0.001, "0.001"), (2e-4, "2e-4"), (1.5e-5, "1.5e-5"), (0.3, "0.3")],
)
def test_a_rate_is_written_as_people_write_it(rate, text):
    assert rate_text(rate) == text

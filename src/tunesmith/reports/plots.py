"""Curves as SVG that stretches with the window.

Lines are drawn in a square of 1000 units which the page pulls to any shape, with strokes that keep their width. Numbers
and words stand over it as HTML, so that they keep their size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tunesmith.jobs.curves import Curves, loss_range, rate_text, trend
from tunesmith.jobs.series import Point
from tunesmith.reports.markup import Html, element
from tunesmith.reports.scales import labels, short, ticks, whole_ticks

_SIDE = 1000
_FEW_POINTS = 60
"""So many are drawn as dots too."""
_MOST_MARKS = 50
_MOST_ATTEMPTS = 5
"""That are named; the others have their line alone."""


@dataclass(frozen=True)
class Frame:
    """What a plot's square stands for: steps from 0 to `end`, values from `low` to `high`."""

    end: int
    low: float
    high: float

    def x(self, step: float) -> float:
        return round(_SIDE * step / self.end, 1)

    def y(self, value: float) -> float:
        return round(_SIDE * (self.high - value) / (self.high - self.low), 1)

    def line(self, points: Sequence[Point]) -> str:
        """The path through the points."""
        return "M" + "L".join(f"{self.x(step):g} {self.y(value):g}" for step, value in points)

    def dots(self, points: Sequence[Point]) -> str:
        """A path of dots: lines of no length, which round caps make visible."""
        return "".join(f"M{self.x(step):g} {self.y(value):g}h0" for step, value in points)


def loss_plot(curves: Curves) -> Html:
    """Training and held-out losses, the base's as a line, checkpoints and resumed attempts."""
    frame = Frame(curves.end, *loss_range(curves))
    paths = [_path(frame.line(curves.losses), "noise"), _path(frame.line(trend(curves.losses)), "training")]
    legend = [("training", "training")]
    if curves.base_loss is not None:
        paths.append(_path(frame.line([(0, curves.base_loss), (curves.end, curves.base_loss)]), "base"))
    if curves.held_out:
        paths.append(_path(frame.line(curves.held_out), "held-out"))
        if len(curves.held_out) <= _FEW_POINTS:
            paths.append(_path(frame.dots(curves.held_out), "held-out dots"))
        legend.append(("held-out", "held out"))
    if curves.base_loss is not None:
        legend.append(("base", "base model, held out"))
    marks = [
        element("span", class_="checkpoint", style=f"left:{frame.x(step) / 10:g}%")
        for step in curves.checkpoints[:: 1 + len(curves.checkpoints) // _MOST_MARKS]
    ]
    if marks:
        legend.append(("checkpoint", "checkpoint"))
    marks += [
        element("span", f"attempt {attempt}", class_="attempt", style=f"left:{frame.x(step) / 10:g}%")
        for attempt, step in curves.resumes[:: 1 + len(curves.resumes) // _MOST_ATTEMPTS]
    ]
    return _figure(
        "Loss, in nats per token", _told_losses(curves), frame, paths, labels, legend, marks, curves
    )


def rate_plot(curves: Curves) -> Html:
    """The learning rate by step."""
    return _single_plot(
        "Learning rate", curves.rates, curves, rate_text, lambda levels: [*map(rate_text, levels)]
    )


def speed_plot(curves: Curves) -> Html:
    """Tokens a second by step."""
    return _single_plot(
        "Speed, in tokens per second", curves.speeds, curves, lambda value: f"{value:,.0f}", labels
    )


def _single_plot(
    title: str,
    points: Sequence[Point],
    curves: Curves,
    text: Callable[[float], str],
    label: Callable[[Sequence[float]], list[str]],
) -> Html:
    high = max(value for _, value in points)
    frame = Frame(curves.end, 0.0, 1.08 * high or 1.0)
    told = f"{title}: {text(points[0][1])} at step {points[0][0]}, {text(points[-1][1])} at step {points[-1][0]}."
    paths = [_path(frame.line(points) if len(points) > 1 else frame.dots(points), "training")]
    return _figure(title, told, frame, paths, label, [], [], curves)


def _told_losses(curves: Curves) -> str:
    (first_step, first), (end, last) = trend(curves.losses)[0], trend(curves.losses)[-1]
    told = [f"Training loss: {short(first)} at step {first_step}, {short(last)} at step {end}, smoothed."]
    if curves.held_out:
        step, loss = curves.held_out[-1]
        lowest_step, lowest = min(curves.held_out, key=lambda point: point[1])
        told.append(
            f"Held-out loss: {short(loss)} at step {step}, lowest {short(lowest)} at step {lowest_step}."
        )
    if curves.base_loss is not None:
        told.append(f"The base model's held-out loss: {short(curves.base_loss)}.")
    return " ".join(told)


def _figure(
    title: str,
    told: str,
    frame: Frame,
    paths: Sequence[Html],
    label: Callable[[Sequence[float]], list[str]],
    legend: Sequence[tuple[str, str]],
    marks: Sequence[Html],
    curves: Curves,
) -> Html:
    levels = ticks(frame.low, frame.high, 5)
    steps = whole_ticks(frame.end, 5)
    grid = [f"M0 {frame.y(level):g}H{_SIDE}" for level in levels]
    upright = "".join(f"M{frame.x(step):g} 0V{_SIDE}" for _, step in curves.resumes)
    drawing = element(
        "svg",
        _path("".join(grid), "grid"),
        _path(upright, "resume") if upright else None,
        paths,
        viewBox=f"0 0 {_SIDE} {_SIDE}",
        preserveAspectRatio="none",
        aria_hidden="true",
    )
    words = [
        *(
            element("span", text, class_="level", style=f"top:{frame.y(level) / 10:g}%")
            for level, text in zip(levels, label(levels), strict=True)
        ),
        *(
            element("span", f"{step:,}", class_="step", style=f"left:{frame.x(step) / 10:g}%")
            for step in steps
        ),
    ]
    keys = element(
        "ul", [element("li", element("i", class_=kind), name) for kind, name in legend], class_="legend"
    )
    return element(
        "figure",
        element("figcaption", element("h3", title), keys if legend else None),
        element(
            "div",
            element("div", drawing, words, marks, class_="area"),
            role="img",
            aria_label=told,
            class_="plot",
        ),
        element("p", "optimizer step", class_="axis"),
    )


def _path(way: str, kind: str) -> Html:
    return element("path", d=way, class_=kind)

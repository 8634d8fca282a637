"""A run's curves as one picture of three panels: losses above, learning rate and speed below."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

from tunesmith.jobs.curves import Curves, loss_range, rate_text, trend
from tunesmith.jobs.series import Point

_SIZE_INCHES = (9.0, 6.4)
_DOTS_PER_INCH = 100
"""900 x 640 pixels: legible at half of it, which is what a chat window may leave."""
_BLUE, _PALE_BLUE, _ORANGE, _GREY, _INK = "#1d4ed8", "#a9c1ee", "#c2410c", "#6b7280", "#1f2937"
_GRID = "#e5e7eb"
_TINTS = 16
"""Of each colour towards white, which is what the edges of lines and letters are made of."""
_FEW_POINTS = 40
"""So many are drawn as dots too."""
_STYLE = {
    "font.size": 11,
    "axes.edgecolor": _GREY,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlecolor": _INK,
    "axes.grid": True,
    "grid.color": _GRID,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "lines.linewidth": 2,
    "legend.frameon": False,
    "legend.fontsize": 10,
}


def draw_panels(curves: Curves, title: str) -> bytes:
    """The picture (PNG) of curves with at least one loss."""
    # The object interface: pyplot would look for a display and keep global state.
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    with rc_context(_STYLE):
        figure = Figure(figsize=_SIZE_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        figure.suptitle(title, fontsize=12, color=_GREY, x=0.01, ha="left", parse_math=False)
        parts: dict[str, Any] = figure.subplot_mosaic(
            [["loss", "loss"], ["rate", "speed"]], height_ratios=[1.8, 1]
        )
        _draw_losses(parts["loss"], curves)
        _draw_line(parts["rate"], "Learning rate", curves.rates, curves)
        parts["rate"].set_ylim(0, None)
        parts["rate"].yaxis.set_major_formatter(lambda value, _: rate_text(value))
        _draw_speed(parts["speed"], curves)
        canvas.draw()
        drawn = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba())
    # A palette makes the picture a third as large. A palette found by the picture would merge what few pixels have.
    palette = Image.new("P", (1, 1))
    palette.putpalette(_palette())
    picture = BytesIO()
    drawn.convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE).save(
        picture, "PNG", optimize=True
    )
    return picture.getvalue()


def _palette() -> list[int]:
    """The colours that are drawn with, and their tints; three numbers each."""
    inks = [bytes.fromhex(ink[1:]) for ink in (_BLUE, _PALE_BLUE, _ORANGE, _GREY, _INK)]
    # The palest is left out: what is nearly white is then white.
    tints = [
        255 - (255 - part) * share // _TINTS for ink in inks for share in range(2, _TINTS + 1) for part in ink
    ]
    return [255, 255, 255, *bytes.fromhex(_GRID[1:]), *tints]


def _draw_losses(axes: Any, curves: Curves) -> None:
    axes.plot(*_columns(curves.losses), color=_PALE_BLUE, linewidth=1)
    axes.plot(*_columns(trend(curves.losses)), color=_BLUE, label="training", marker=_marker(curves.losses))
    if curves.held_out:
        marker = "o" if len(curves.held_out) <= _FEW_POINTS else None
        axes.plot(*_columns(curves.held_out), color=_ORANGE, marker=marker, markersize=5, label="held out")
    if curves.base_loss is not None:
        axes.axhline(
            curves.base_loss, color=_GREY, linestyle="--", linewidth=1.5, label="base model, held out"
        )
    axes.set_ylim(*loss_range(curves))
    for attempt, step in curves.resumes:
        axes.axvline(step, color=_INK, linestyle=":", linewidth=1.2)
        axes.annotate(
            f"attempt {attempt}",
            (step, 0.86),
            xycoords=axes.get_xaxis_transform(),
            xytext=(5, 0),
            textcoords="offset points",
            color=_INK,
            fontsize=10,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8},
        )
    if curves.checkpoints:
        at_foot = [0.0] * len(curves.checkpoints)
        axes.plot(
            curves.checkpoints,
            at_foot,
            transform=axes.get_xaxis_transform(),
            color=_INK,
            marker="^",
            markersize=7,
            linestyle="none",
            clip_on=False,
            label="checkpoint",
        )
    _frame(axes, "Loss (nats per token)", curves)
    axes.legend(loc="upper right", ncols=4, bbox_to_anchor=(1, 1.13), columnspacing=1.2, handlelength=1.6)


def _draw_speed(axes: Any, curves: Curves) -> None:
    _draw_line(axes, "Speed (tokens per second)", curves.speeds, curves)
    axes.set_ylim(0, None)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _draw_line(axes: Any, title: str, points: Sequence[Point], curves: Curves) -> None:
    axes.plot(*_columns(points), color=_BLUE, marker=_marker(points))
    for _, step in curves.resumes:
        axes.axvline(step, color=_INK, linestyle=":", linewidth=1.2)
    _frame(axes, title, curves)


def _frame(axes: Any, title: str, curves: Curves) -> None:
    axes.set_title(title)
    axes.set_xlim(0, curves.end)
    axes.set_xlabel("step")
    axes.xaxis.get_major_locator().set_params(integer=True)


def _marker(points: Sequence[Point]) -> str | None:
    return "." if len(points) == 1 else None


def _columns(points: Sequence[Point]) -> tuple[list[int], list[float]]:
    return [step for step, _ in points], [value for _, value in points]

"""The run's losses as a picture, drawn from its journal."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO
from typing import Any

from tunesmith.jobs.files import write_bytes
from tunesmith.jobs.journal import read_events
from tunesmith.jobs.paths import HandlePaths

Curve = list[tuple[int, float]]


def draw_loss_curve(paths: HandlePaths) -> None:
    """Write the picture (PNG). A run with nothing told yet gets none.

    Raises:
        DiskFull, StorageFailed
    """
    events = read_events(paths.journal)
    train, dev = curve(events, "progress", "loss"), curve(events, "evaluated", "eval_loss")
    if not train:
        return
    # The object interface: pyplot would look for a display and keep global state.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot(*zip(*train, strict=True), color="#9db4d8", linewidth=1, label="training (each step)")
    if dev:
        axes.plot(*zip(*dev, strict=True), color="#c2410c", marker="o", markersize=4, label="dev half")
    axes.set(xlabel="optimizer step", ylabel="loss (nats per token)", title=paths.handle, ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    image = BytesIO()
    figure.savefig(image, format="png", dpi=120)
    write_bytes(paths.loss_curve, image.getvalue())


def curve(events: Iterable[dict[str, Any]], event: str, field: str) -> Curve:
    """The value of `field` by step; where an attempt repeated a step, the later value counts."""
    points: dict[int, float] = {}
    for record in events:
        if record["event"] == event and isinstance(record.get(field), (int, float)):
            points[int(record["step"])] = float(record[field])
    return sorted(points.items())

"""`python -m tunesmith.worker.drawing <cache file> <form> <title>`: draws the curves that come on stdin, as JSON.

A process of its own, because the server imports no drawing library, and a short one: it ends with its picture. What it
leaves is derived (jobs/derived.py), so that whoever gave up waiting finds the picture the next time.
"""

from __future__ import annotations

import base64
import json
import signal
import sys
from pathlib import Path

from tunesmith.jobs.curves import Curves
from tunesmith.jobs.derived import write_derived
from tunesmith.training.panels import draw_panels

_LIMIT_S = 120
"""A first drawing on a machine reads all its fonts; nothing takes as long as this."""


def main(cache: str, form: str, title: str) -> None:
    """Draw, and keep the picture at `cache` in base64."""
    signal.alarm(_LIMIT_S)
    curves = Curves(**json.load(sys.stdin))
    picture = draw_panels(curves, title)
    write_derived(Path(cache), form, base64.b64encode(picture).decode())


if __name__ == "__main__":
    main(*sys.argv[1:])

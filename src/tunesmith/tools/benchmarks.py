"""Benchmarks named among the metrics of evaluate_model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tunesmith.schemas.errors import InvalidArgument, MissingExtra
from tunesmith.schemas.evaluations import BENCHMARK
from tunesmith.tools.installed import is_installed
from tunesmith.tools.locations import locate_file, shorten

_TASK = re.compile(r"[A-Za-z0-9][\w.+-]{0,119}")
_SUFFIXES = (".yaml", ".yml")


def located_benchmarks(metrics: Sequence[str]) -> list[str]:
    """The metrics, with the paths of task files resolved.

    Raises:
        MissingExtra: lm-evaluation-harness is not installed.
        InvalidArgument: a name that no task can have.
        UnsafePath, SourceNotFound: a task file outside the allowed roots, or none.
    """
    if any(name.startswith(BENCHMARK) for name in metrics) and not is_installed("lm_eval"):
        raise MissingExtra(
            "Benchmarks are run by lm-evaluation-harness, which is not installed here.",
            "Install it where the server runs: pip install 'tunesmith[lm-eval]'. Then call again, or without it.",
        )
    return [_located(name) if name.startswith(BENCHMARK) else name for name in metrics]


def _located(metric: str) -> str:
    name = metric.removeprefix(BENCHMARK)
    if Path(name).suffix.lower() in _SUFFIXES:
        return f"{BENCHMARK}{locate_file(name, 'metrics')}"
    if not _TASK.fullmatch(name):
        raise InvalidArgument(
            f"{shorten(name)} is neither a task of lm-evaluation-harness nor the path of a .yaml file.",
            f"Name one as in {BENCHMARK}arc_easy, or a task file as in {BENCHMARK}my_task.yaml.",
        )
    return metric

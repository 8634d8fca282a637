"""The model that this process has loaded last, for a process that answers more than once."""

from __future__ import annotations

import gc
from dataclasses import dataclass
from pathlib import Path

from tunesmith.evaluation.subject import Subject, load_subject
from tunesmith.jobs.paths import Store
from tunesmith.schemas.evaluations import ModelReference

_Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class _Kept:
    reference: ModelReference
    stamp: _Stamp
    subject: Subject


_kept: list[_Kept] = []


def kept_subject(store: Store, reference: ModelReference) -> Subject:
    """`load_subject`, or what it gave the last time where the same model is asked for and none of its files changed.

    Raises as `load_subject`; then nothing is kept.
    """
    stamp = _stamp(store, reference)
    if _kept and (_kept[0].reference, _kept[0].stamp) == (reference, stamp):
        return _kept[0].subject
    _kept.clear()
    gc.collect()  # two models would need the memory of both
    subject = load_subject(store, reference)
    _kept.append(_Kept(reference, stamp, subject))
    return subject


def _stamp(store: Store, reference: ModelReference) -> _Stamp:
    """Name, size and time of each file that the model is read from; a Hub id and the demo never change while kept."""
    if reference.kind == "run":
        paths = store.handle(reference.name)
        entries = [paths.plan, *_beside(paths.adapter)]
    else:
        entries = [] if reference.path is None else _beside(Path(reference.path))
    there = [entry for entry in entries if entry.exists()]
    return tuple((str(entry), (status := entry.stat()).st_size, status.st_mtime_ns) for entry in there)


def _beside(folder: Path) -> list[Path]:
    """What stands in the folder, and not what lies below: it may be anybody's home."""
    return sorted(folder.iterdir()) if folder.is_dir() else []

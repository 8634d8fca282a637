"""Which comparison a call means: the one that the same models and prompts have begun already, or a new one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tunesmith.jobs.files import read_document
from tunesmith.jobs.folders import handles_in
from tunesmith.jobs.snapshot import Observer, Snapshot
from tunesmith.schemas.comparisons import CompareRequest
from tunesmith.schemas.enums import RunState, Work
from tunesmith.schemas.errors import InvalidArgument, UnknownHandle
from tunesmith.schemas.evaluations import ModelReference

_ENDED_BADLY = (RunState.FAILED, RunState.STOPPED, RunState.INTERRUPTED)


@dataclass(frozen=True)
class Found:
    """A comparison that was begun before. `turned`: what the caller calls a is its b."""

    snapshot: Snapshot
    request: CompareRequest
    turned: bool


def find(observer: Observer, asked: CompareRequest) -> Found | None:
    """The oldest comparison that asks the same; None when there is none. Without golden set and prompts it is the only
    one of the two models.

    Raises:
        InvalidArgument: only the models are named, and they have no comparison yet, or several.
    """
    found = sorted(_of_models(observer, asked), key=lambda one: (one.request.created_at, one.snapshot.handle))
    if asked.golden_set_id is not None or asked.prompts:
        same = [one for one in found if _task(one.request) == _task(asked)]
        return same[0] if same else None
    if len(found) == 1:
        return found[0]
    if not found:
        raise InvalidArgument(
            "Neither golden_set_id nor prompts is given, and there is no comparison of a and b to go on with.",
            "Call compare_models with a golden_set_id, or with prompts.",
        )
    raise InvalidArgument(
        f"There are {len(found)} comparisons of a and b: {', '.join(one.snapshot.handle for one in found[:5])}.",
        "Call compare_models with the golden_set_id or the prompts of the one that is meant.",
    )


def weights_of(model: ModelReference) -> str | None:
    """What tells a local model from what it will be once its files have changed; None for one that cannot change."""
    if model.kind != "local" or model.path is None:
        return None
    digest = hashlib.sha256()
    for pattern in ("*.json", "*.safetensors"):
        for path in sorted(Path(model.path).glob(pattern)):
            if path.exists():  # and is no link to nothing
                status = path.stat()
                digest.update(f"{path.name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def _of_models(observer: Observer, asked: CompareRequest) -> Iterator[Found]:
    for handle in handles_in(observer.store, Work.COMPARE):
        request = read_document(observer.store.handle(handle).request, CompareRequest)
        if request is None:
            continue
        sides = _sides(request)
        if sides == _sides(asked):
            turned = False
        elif sides[::-1] == _sides(asked):
            turned = True
        else:
            continue
        try:
            snapshot = observer.look(handle)
        except UnknownHandle:
            continue
        if snapshot.state not in _ENDED_BADLY:
            yield Found(snapshot, request, turned)


def _sides(request: CompareRequest) -> tuple[tuple[ModelReference, str | None], ...]:
    return ((request.a, request.weights[0]), (request.b, request.weights[1]))


def _task(request: CompareRequest) -> tuple[str | None, list[str]]:
    return request.golden_set_id, request.prompts

"""Comparisons of two models, as files: the answers are there, and nobody has voted yet."""

from __future__ import annotations

import shutil
from pathlib import Path

from tunesmith import demo
from tunesmith.jobs.paths import HandlePaths, Store
from tunesmith.jobs.submission import create_finished
from tunesmith.schemas.comparisons import AnswerPair, AnswerPairs, CompareRequest
from tunesmith.schemas.enums import Work
from tunesmith.schemas.evaluations import ModelReference
from tunesmith.schemas.handles import new_handle
from tunesmith.tools.comparisons import weights_of

CREATED = "2030-01-01T00:00:00Z"


def pair(number: int, a: str, b: str, *, a_first: bool = True, reference: str | None = None) -> AnswerPair:
    """What two models wrote for one question."""
    return AnswerPair(
        pair=number,
        untrusted_prompt=f"question {number}",
        untrusted_reference=reference,
        untrusted_a=a,
        untrusted_b=b,
        a_first=a_first,
    )


def plain_pairs(count: int) -> list[AnswerPair]:
    """Answers that say whose they are; a's is first in every odd pair."""
    return [pair(n, f"of a, {n}", f"of b, {n}", a_first=n % 2 == 1) for n in range(1, count + 1)]


def write_comparison(store: Store, pairs: list[AnswerPair], other: Path | None = None) -> HandlePaths:
    """A comparison of the demo model with a copy of it in the folder `other`, by two prompts."""
    other = store.root.parent / "other" if other is None else other
    if not other.exists():
        shutil.copytree(demo.base_model_path(), other)
    a = ModelReference(name="demo", kind="demo", path=str(demo.base_model_path()))
    b = ModelReference(name=str(other), kind="local", path=str(other.resolve()))
    request = CompareRequest(
        a=a,
        b=b,
        weights=(weights_of(a), weights_of(b)),
        golden_set_id=None,
        prompts=["x", "y"],
        created_at=CREATED,
    )
    handle = new_handle(Work.COMPARE)
    answers = AnswerPairs(
        comparison_id=handle,
        a="demo",
        b=str(other),
        golden_set_id=None,
        pairs=pairs,
        afterwards=["what would tell"],
        created_at=CREATED,
    )
    create_finished(store, handle, request, answers, lambda paths: None)
    return store.handle(handle)

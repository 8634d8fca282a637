"""The finding job: which of several words about the same model counts, and what it needs to begin."""

from __future__ import annotations

from typing import Any

import pytest

from tests.training import tiny
from tunesmith.jobs.paths import Store
from tunesmith.schemas.enums import TuningMethod, Work
from tunesmith.schemas.errors import NotReady
from tunesmith.schemas.handles import new_handle
from tunesmith.schemas.models import FindModelsRequest
from tunesmith.training import find_models_job
from tunesmith.training.bases.candidate import Candidate
from tunesmith.training.bases.hub import Listing
from tunesmith.training.find_models_job import choose, run


def request(**changes: Any) -> FindModelsRequest:
    asked: dict[str, Any] = {
        "query": None,
        "dataset_id": None,
        "tuning_method": TuningMethod.LORA,
        "max_parameters": None,
        "limit": 10,
        "roots": [],
    }
    return FindModelsRequest(**(asked | changes))


def model(name: str, source: Any, **known: Any) -> Candidate:
    told: dict[str, Any] = {"family": "x", "parameters": 1_000, "context": 8, "shape": None}
    return Candidate(id=name, source=source, **(told | known))


def test_what_is_here_counts_before_the_hub_and_the_hub_before_the_table() -> None:
    table = [
        model("a/one", "table", license="mit"),
        model("a/two", "table", gated=False),
        model("a/three", "table"),
    ]
    listed = [model("a/two", "hub", gated=True)]
    here = [model("a/one", "cache")]
    found = {one.id: one for one in choose(request(), table, listed, here)}
    assert [(one.id, one.source) for one in found.values()] == [
        ("a/one", "cache"), ("a/two", "hub"), ("a/three", "table"),
    ]  # fmt: skip
    assert found["a/one"].license == "mit"  # the files do not tell it
    assert found["a/two"].gated is True


def test_what_the_hub_lists_has_matched_its_own_search_but_may_be_too_large() -> None:
    listed = [model("a/by-its-tags", "hub"), model("a/large", "hub", parameters=10_000)]
    found = choose(request(query="words", max_parameters=5_000), [model("a/no", "table")], listed, [])
    assert [one.id for one in found] == ["a/by-its-tags"]


def test_a_model_of_the_table_that_the_hub_shows_to_be_none_is_not_proposed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = Listing("searched", left_out={"microsoft/phi-4": "bring code of their own"})
    monkeypatch.setattr(find_models_job, "search_hub", lambda *_: listing)
    found = run(tiny.job_for(store, new_handle(Work.FIND_MODELS), request(query="microsoft", limit=50)))
    assert "microsoft/phi-2" in [one.id for one in found.models]
    assert "microsoft/phi-4" not in [one.id for one in found.models]
    assert found.warnings == ["1 of the Hub's models left out: bring code of their own."]


def test_a_dataset_that_is_not_finished_is_told(store: Store) -> None:
    asked = request(dataset_id=new_handle(Work.LOAD_DATASET))
    with pytest.raises(NotReady, match="is not finished"):
        run(tiny.job_for(store, new_handle(Work.FIND_MODELS), asked))

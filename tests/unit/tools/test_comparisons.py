"""Which comparison a call means."""

from __future__ import annotations

import pytest

from tests.support.written_comparisons import CREATED, plain_pairs, write_comparison
from tunesmith.jobs.files import read_document
from tunesmith.jobs.journal import Journal
from tunesmith.jobs.paths import Store
from tunesmith.jobs.snapshot import Observer
from tunesmith.jobs.submission import create_claimed
from tunesmith.schemas.comparisons import CompareRequest
from tunesmith.schemas.enums import Work
from tunesmith.schemas.errors import InvalidArgument
from tunesmith.schemas.handles import new_handle
from tunesmith.tools.comparisons import find


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def written(store):
    """A finished comparison: its handle and what asks for it."""
    paths = write_comparison(store, plain_pairs(1))
    return paths.handle, read_document(paths.request, CompareRequest)


def asked(request, **changes):
    return request.model_copy(update={"created_at": "2031-01-01T00:00:00Z", **changes})


def test_the_same_models_and_prompts_find_it_again_from_either_side(store, written):
    handle, request = written
    turned = {"a": request.b, "b": request.a, "weights": request.weights[::-1]}

    for changes, is_turned in (({}, False), (turned, True), ({**turned, "prompts": []}, True)):
        found = find(Observer(store), asked(request, **changes))
        assert (found.snapshot.handle, found.turned) == (handle, is_turned)


@pytest.mark.parametrize(
    "change",
    [
        {"prompts": ["y", "x"]},
        {"prompts": [], "golden_set_id": "gold-aaaaaaaaaaaaaaaa"},
        {"weights": (None, "changed")},
    ],
)
def test_other_prompts_rows_or_weights_are_another_comparison(store, written, change):
    assert find(Observer(store), asked(written[1], **change)) is None


def test_one_whose_answers_were_never_written_is_begun_anew(store, written):
    handle, request = written
    failed = new_handle(Work.COMPARE)
    create_claimed(store, failed, request.model_copy(update={"created_at": "2029-01-01T00:00:00Z"}))
    error = {"code": "out_of_memory", "message": "It did not fit.", "recovery": "Take less."}
    Journal(store.handle(failed).journal, 1).append("finished", durable=True, state="failed", error=error)

    assert find(Observer(store), asked(request)).snapshot.handle == handle


def test_of_two_that_were_begun_at_once_the_first_is_meant_and_the_models_alone_do_not_say_which(
    store, written
):
    handle, request = written
    other = write_comparison(store, plain_pairs(1)).handle
    assert read_document(store.handle(other).request, CompareRequest).created_at == CREATED

    assert find(Observer(store), asked(request)).snapshot.handle == min(handle, other)
    with pytest.raises(InvalidArgument, match="There are 2 comparisons"):
        find(Observer(store), asked(request, prompts=[]))

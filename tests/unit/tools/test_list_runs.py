"""list_runs: every run is found, in pages that do not slip, whatever the files of some of them hold."""

from __future__ import annotations

import json
import os
from functools import partial

import anyio
import pytest

from tests.support.small_files import files_of_at_most
from tests.support.written_runs import (
    PLAN,
    began,
    evaluated,
    finished,
    plan_with,
    progressed,
    run_handle,
    write_run,
)
from tunesmith.jobs.executor import LocalExecutor
from tunesmith.jobs.journal import Journal, JournalReader
from tunesmith.jobs.paths import Store
from tunesmith.jobs.run_index import WORTH_WRITING
from tunesmith.jobs.snapshot import Observer
from tunesmith.jobs.submission import create_finished
from tunesmith.schemas.enums import Half, TuningMethod, Work
from tunesmith.schemas.errors import InvalidArgument, UnknownHandle
from tunesmith.schemas.evaluations import EvaluateRequest, Evaluation, ModelReference, Score
from tunesmith.schemas.handles import new_handle
from tunesmith.tools import list_runs as tool
from tunesmith.tools.workspace import Workspace, report_to_nobody

MANY = 2 * WORTH_WRITING


def listed(store, **arguments):
    """What a process answers that has looked at nothing yet."""
    workspace = Workspace(store, LocalExecutor(store), Observer(store), report_to_nobody)
    return anyio.run(partial(tool.list_runs, workspace, **arguments))


def handles(result):
    return [run.run_id for run in result.runs]


def write_finished(store, number, eval_loss=1.5, state="succeeded", **plan):
    """The run of this number; higher ones are newer."""
    events = [*began(), evaluated(0, 3.0), progressed(300), evaluated(300, eval_loss), finished(state)]
    created_at = f"2030-01-01T00:{number // 60:02}:{number % 60:02}Z"
    return write_run(store, run_handle(number), events, plan=plan_with(**plan), created_at=created_at)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def many(store):
    for number in range(MANY):
        write_finished(store, number, eval_loss=1.0 + (number * 7 % MANY) / 100)
    return store


def test_runs_are_told_newest_first_or_by_loss_or_by_model(store):
    write_finished(store, 1, 1.2, base_model="b")
    write_finished(store, 2, 1.1, base_model="c")
    write_finished(store, 3, 1.3, base_model="a")
    write_run(
        store, run_handle(4), began(), plan=plan_with(base_model="b"), created_at="2030-01-02T00:00:00Z"
    )
    by = {sort: handles(listed(store, sort=sort)) for sort in ("newest", "eval_loss", "model")}
    assert by == {
        "newest": [run_handle(number) for number in (4, 3, 2, 1)],
        "eval_loss": [run_handle(number) for number in (2, 1, 3, 4)],
        "model": [run_handle(number) for number in (3, 4, 1, 2)],
    }


@pytest.mark.parametrize("sort", ["newest", "eval_loss", "model"])
@pytest.mark.parametrize("query", [None, "qwen succeeded"])
def test_the_pages_that_next_leads_through_are_all_runs_once(many, sort, query):
    for number in range(0, MANY, 5):
        write_finished(many, MANY + number, eval_loss=1.0 + number / 100, state="failed")
    whole = handles(listed(many, sort=sort, query=query, limit=100))
    assert len(whole) == (MANY if query else MANY + len(range(0, MANY, 5)))
    seen, arguments = [], {"sort": sort, "query": query, "limit": 10}
    while arguments is not None:
        page = listed(many, **arguments)
        assert page.total == len(whole)
        seen += handles(page)
        arguments = next((call.arguments for call in page.next if call.tool == "list_runs"), None)
    assert seen == whole


def test_a_page_does_not_slip_when_runs_are_added_or_stop_matching_meanwhile(many):
    first = listed(many, query="succeeded", limit=10)
    for number in range(MANY, MANY + 5):
        write_finished(many, number)
    last = many.handle(handles(first)[-1])
    last.journal.write_text("")
    following = listed(many, query="succeeded", limit=10, after=last.handle)
    assert handles(following) == [run_handle(number) for number in range(MANY - 11, MANY - 21, -1)]


def test_going_on_after_a_run_that_is_gone_is_an_error_with_the_next_step(many):
    with pytest.raises(InvalidArgument, match="without after"):
        listed(many, after=run_handle(MANY + 1))


def test_words_are_found_in_handle_state_model_method_and_dataset(store):
    write_finished(
        store, 1, state="stopped", base_model="org/Small", tuning_method=TuningMethod.PREFIX_TUNING
    )
    write_finished(store, 2)
    for query in (run_handle(1), "STOPPED", "org/small", "prefix_tuning stopped"):
        assert handles(listed(store, query=query)) == [run_handle(1)]
    assert listed(store, query=PLAN.dataset_id).total == 2
    assert listed(store, query="stopped lora").total == 0


def test_compare_tells_configuration_and_outcome_apart(store):
    write_finished(store, 1, 1.2, learning_rate=1e-4)
    write_finished(store, 2, 1.3, learning_rate=3e-4)
    write_finished(store, 3)
    result = listed(store, compare=[run_handle(1), run_handle(2), run_handle(1)])
    one, two = run_handle(1), run_handle(2)
    assert result.differences == {
        "configuration": {"learning_rate": {two: 3e-4, one: 1e-4}},
        "outcome": {"eval_loss": {two: 1.3, one: 1.2}},
    }
    text = tool.describe(result)
    assert f"Different in configuration:\n- learning_rate: {two} 0.0003; {one} 0.0001" in text
    assert "golden sets differ" not in text


def test_losses_on_different_golden_sets_are_told_to_be_no_comparison(store):
    write_finished(store, 1)
    paths = write_finished(store, 2)
    paths.plan.write_text(
        PLAN.model_copy(update={"golden_set_id": "gold-bbbbbbbbbbbbbbbb"}).model_dump_json()
    )
    assert "golden sets differ" in tool.describe(listed(store, compare=[run_handle(1), run_handle(2)]))


def write_scored(store, number, bits_per_byte, half=Half.DEV):
    """An evaluation of the run of this number on the golden set that all of them have."""
    figures = Score(value=bits_per_byte, low=0.0, high=9.0)
    evaluation = Evaluation(
        evaluation_id=new_handle(Work.EVALUATE),
        model=run_handle(number),
        golden_set_id=PLAN.golden_set_id,
        half=half,
        rows=20,
        scores={"bits_per_byte": figures},
        targets={},
        created_at="2030-01-02T00:00:00Z",
    )
    model = ModelReference(name=run_handle(number), kind="run", path=None)
    request = EvaluateRequest(model=model, golden_set_id=PLAN.golden_set_id, half=half, metrics=[])
    create_finished(store, evaluation.evaluation_id, request, evaluation, lambda paths: None)


def give_tokenizer(store, number, vocabulary):
    adapter = store.handle(run_handle(number)).adapter
    adapter.mkdir()
    (adapter / "tokenizer.json").write_text(json.dumps({"model": {"vocab": vocabulary}}))


def test_runs_whose_models_cut_texts_differently_are_compared_in_bits_per_byte(store):
    one, two, three = map(run_handle, (1, 2, 3))
    for number, base in ((1, "org/one"), (2, "org/two"), (3, "org/two")):
        write_finished(store, number, base_model=base)
        give_tokenizer(store, number, {base: 0})
    unscored = listed(store, compare=[one, two])
    assert "bits_per_byte" not in unscored.differences["outcome"]
    assert "do not compare losses" in tool.describe(unscored) and "None of them" in unscored.notes[0]

    write_scored(store, 1, 0.5)
    write_scored(store, 2, 0.75)
    scored = listed(store, compare=[one, two, three])

    values = {three: None, two: 0.75, one: 0.5}
    assert scored.differences["outcome"]["bits_per_byte"] == values
    assert f"{two} 0.75, {one} 0.5. {three} has none there." in scored.notes[0]
    assert scored.next[0].tool == "evaluate_model"
    asked = {"model": three, "golden_set_id": PLAN.golden_set_id, "half": "dev"}
    assert scored.next[0].arguments == asked


def test_other_base_models_with_the_same_tokenizer_are_compared_by_their_losses(store):
    for number, base in ((1, "org/one"), (2, "org/two")):
        write_finished(store, number, base_model=base)
        give_tokenizer(store, number, {"a": 0})
    assert listed(store, compare=[run_handle(1), run_handle(2)]).notes == []


def test_comparing_what_is_no_run_or_not_there_is_refused(store):
    write_finished(store, 1)
    with pytest.raises(InvalidArgument):
        listed(store, compare=[run_handle(1), "../../etc"])
    with pytest.raises(UnknownHandle):
        listed(store, compare=[run_handle(1), run_handle(2)])


DAMAGES = {
    "no request": lambda paths: paths.request.unlink(),
    "empty request": lambda paths: paths.request.write_bytes(b""),
    "half a plan": lambda paths: paths.plan.write_bytes(paths.plan.read_bytes()[:200]),
    "zeroed plan": lambda paths: paths.plan.write_bytes(b"\0" * 500),
    "newer plan": lambda paths: paths.plan.write_text(
        PLAN.model_copy(update={"schema_version": 2}).model_dump_json()
    ),
    "newer request": lambda paths: paths.request.write_text(
        json.dumps({**json.loads(paths.request.read_text()), "priority": "high"})
    ),
    "a folder for a plan": lambda paths: (paths.plan.unlink(), paths.plan.mkdir()),
}


@pytest.mark.row("R19")
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_run_that_cannot_be_read_is_listed_so_and_the_others_are_fine(store, damage):
    write_finished(store, 1)
    broken = write_finished(store, 2)
    damage(broken)
    files = sorted(path.name for path in broken.folder.iterdir())
    result = listed(store)
    assert {run.run_id: run.state for run in result.runs} == {
        run_handle(1): "succeeded", run_handle(2): "unreadable",
    }  # fmt: skip
    assert sorted(path.name for path in broken.folder.iterdir()) == files
    assert f"- {run_handle(2)} unreadable" in tool.describe(result)
    assert [call.arguments for call in result.next] == [{"run_id": run_handle(1)}]


@pytest.mark.row("R19")
def test_foreign_names_among_the_runs_break_nothing(store):
    write_finished(store, 1)
    runs = store.handle(run_handle(1)).folder.parent
    (runs / "run-of-last-week").mkdir()
    (runs / os.fsdecode(b"run-\xff\x1b[2J")).mkdir()
    (runs / f"{run_handle(1)} (copy)").mkdir()
    (runs / "run-aaaaaaaaaaaaaaaz").write_text("a file")
    (runs / ".DS_Store").write_text("")
    (runs / "notes").mkdir()
    result = listed(store)
    assert {run.run_id: run.state for run in result.runs} == {
        run_handle(1): "succeeded",
        "run-of-last-week": "unreadable",
        "run-\\udcff\\u001b[2J": "unreadable",
        f"{run_handle(1)} (copy)": "unreadable",
    }
    result.model_dump_json()
    assert listed(store, limit=1, after=handles(result)[0]).runs[0] == result.runs[1]


# -- the index ----------------------------------------------------------------


def count_reads(monkeypatch):
    """The journals that are read from now on."""
    read = []
    real = JournalReader.new_events
    monkeypatch.setattr(JournalReader, "new_events", lambda reader: read.append(reader.path) or real(reader))
    return read


def test_finished_runs_are_read_once_and_then_told_from_the_index(many, monkeypatch):
    before = listed(many, limit=100)
    read = count_reads(monkeypatch)
    assert listed(many, limit=100) == before
    assert read == []


def test_a_run_that_changed_is_read_again_and_one_that_goes_on_each_time(many, monkeypatch):
    going_on = run_handle(MANY)
    write_run(many, going_on, began())
    listed(many, limit=100)
    resumed = many.handle(run_handle(3))
    Journal(resumed.journal, attempt=2).append("requeued")
    read = count_reads(monkeypatch)
    result = listed(many, limit=100)
    assert {path.parent.name for path in read} == {going_on, resumed.handle}
    assert {run.run_id: run.state for run in result.runs}[resumed.handle] == "queued"


@pytest.mark.parametrize("name", ["request", "plan"])
def test_a_request_or_plan_that_was_damaged_since_is_noticed(many, name):
    listed(many)
    path = getattr(many.handle(run_handle(3)), name)
    path.write_bytes(b"\0" * path.stat().st_size)
    assert listed(many, query="unreadable").total == 1


def test_removed_runs_leave_the_list_and_in_time_the_index(many):
    listed(many)
    for number in range(WORTH_WRITING):
        folder = many.handle(run_handle(number)).folder
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
    assert listed(many).total == MANY - WORTH_WRITING
    assert run_handle(0) not in many.run_index.read_text()
    assert run_handle(MANY - 1) in many.run_index.read_text()


@pytest.mark.row("R7", "R19")
@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: b"",
        lambda kept: kept[: len(kept) // 2],
        lambda kept: b"\0" * len(kept),
        lambda kept: os.urandom(len(kept)),
        lambda kept: kept + b"{",
        lambda kept: kept.replace(b'"eval_loss":1.0', b'"eval_loss":0.0'),
        lambda kept: b"[" * 100_000,
    ],
    ids=["empty", "half", "zeroed", "garbage", "tail", "one digit", "deep"],
)
def test_a_damaged_index_changes_no_answer_and_is_made_anew(many, damage, monkeypatch):
    before = listed(many, limit=100)
    many.run_index.write_bytes(damage(many.run_index.read_bytes()))
    assert listed(many, limit=100) == before
    read = count_reads(monkeypatch)
    assert listed(many, limit=100) == before
    assert read == []


@pytest.mark.row("R9")
def test_a_disk_that_fills_up_while_the_index_is_written_changes_no_answer(many):
    before = listed(many, limit=100)
    many.run_index.unlink()
    with files_of_at_most(1000):
        assert listed(many, limit=100) == before
    assert list(many.run_index.parent.iterdir()) == []


@pytest.mark.row("R7")
def test_a_store_that_takes_no_index_is_listed_all_the_same(many):
    (many.root / "cache").write_text("a file where the folder would be")
    before = listed(many, limit=100)
    assert before.total == MANY
    assert listed(many, limit=100) == before
    (many.root / "cache").unlink()
    many.run_index.mkdir(parents=True)
    assert listed(many, limit=100) == before
    assert list(many.run_index.parent.iterdir()) == [many.run_index]  # no half-written file is left

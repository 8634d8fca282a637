"""Which runs can go on under which plan, and what is said of the others."""

from __future__ import annotations

import pytest

from tests.support.written_runs import PLAN, began, finished, progressed, run_handle, write_run
from tunesmith.jobs.paths import Store
from tunesmith.jobs.snapshot import Observer
from tunesmith.schemas.errors import Mismatch, NotReady
from tunesmith.schemas.runs import TrainOutcome
from tunesmith.tools.continuation import check_continues

RUN = run_handle(1)
STEPS = PLAN.config.total_steps


def planned(plan_id="plan-bbbbbbbbbbbbbbbb", **config):
    changed = {"total_steps": 2 * STEPS, "epochs": 2 * PLAN.config.epochs, **config}
    return PLAN.model_copy(update={"plan_id": plan_id, "config": PLAN.config.model_copy(update=changed)})


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def ended(store, state="succeeded", steps=STEPS, checkpoint=True):
    paths = write_run(store, RUN, [*began(), progressed(steps), finished(state)])
    outcome = TrainOutcome(
        adapter="adapter",
        steps=steps,
        train_loss=1.0,
        base_eval_loss=2.0,
        eval_loss=1.0,
        trained_tokens=9,
        smoke=None,
    )
    paths.result.write_text(outcome.model_dump_json())
    if checkpoint:
        folder = paths.checkpoints / f"step-{steps:08d}"
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
    return Observer(store).look(RUN)


@pytest.mark.parametrize("state", ["succeeded", "stopped", "failed"])
def test_a_run_goes_on_with_a_plan_that_differs_in_its_length_alone(store, state):
    check_continues(planned(warmup_steps=9, save_steps=1, micro_batch_size=1), ended(store, state))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"learning_rate": 0.5}, r"learning_rate \(0.5 instead of"),
        ({"batch_size": 999}, r"batch_size \(999 instead of"),
        ({"seed": 77}, r"seed \(77 instead of"),
        ({"r": 3}, r"r \(3 instead of"),
        ({"lr_scheduler_type": "constant"}, "lr_scheduler_type"),
    ],
)
def test_another_training_is_refused_by_what_differs(store, config, words):
    with pytest.raises(Mismatch, match=words):
        check_continues(planned(**config), ended(store))


@pytest.mark.parametrize("name", ["dataset_fingerprint", "base_fingerprint"])
def test_other_rows_or_another_base_are_refused(store, name):
    with pytest.raises(Mismatch, match=name):
        check_continues(planned().model_copy(update={name: "other"}), ended(store))


def test_no_more_steps_than_before_are_nothing_to_go_on_for(store):
    with pytest.raises(Mismatch, match=f"was to make {STEPS} already"):
        check_continues(planned(total_steps=STEPS), ended(store))


def test_a_run_that_did_not_finish_is_sent_to_its_own_plan(store):
    with pytest.raises(Mismatch) as refused:
        check_continues(planned(total_steps=STEPS), ended(store, "stopped"))
    assert f'plan_id="{PLAN.plan_id}" and resume_run_id="{RUN}"' in refused.value.recovery


def test_a_run_that_had_stopped_learning_is_not_prolonged(store):
    with pytest.raises(NotReady, match=f"ended at step 9 of {STEPS}"):
        check_continues(planned(), ended(store, steps=9))


def test_a_run_whose_checkpoints_are_gone_says_what_to_do_instead(store):
    with pytest.raises(NotReady, match="no checkpoint") as refused:
        check_continues(planned(), ended(store, checkpoint=False))
    assert "alone" in refused.value.recovery


def test_a_run_that_goes_on_already_has_to_end_first(store):
    write_run(store, RUN, [])
    with pytest.raises(NotReady, match="still queued"):
        check_continues(planned(), Observer(store).look(RUN))

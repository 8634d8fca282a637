from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training import tiny
from tunesmith.jobs.context import JobContext, Stopped
from tunesmith.jobs.files import read_document, write_document
from tunesmith.jobs.journal import read_events
from tunesmith.jobs.paths import Store
from tunesmith.jobs.stopping import request_stop
from tunesmith.schemas.errors import DiskFull, Mismatch, NotReady, OutOfMemory, TrainingDiverged
from tunesmith.schemas.plans import Plan
from tunesmith.training import checkpoints, reporting, threads, train_job

STEPS = 12


class Killed(BaseException):
    """Stands for the death of the process: nothing of ours catches it."""


@pytest.fixture(autouse=True)
def told(every_step_told: None) -> None:
    """Every test here compares losses step by step."""


@pytest.fixture
def make_job(base: Path, store: Store) -> Any:
    dataset = tiny.add_dataset(store, tiny.colour_rows(40))
    golden = tiny.add_golden_set(store, dataset, tiny.colour_rows(5, start=50))

    def make(method: str = "lora", numbers: dict[str, Any] | None = None, **chosen: Any) -> JobContext:
        rate = 1e-3 if method == "full" else 1e-2
        chosen = {"learning_rate": rate, "max_steps": STEPS, **chosen}
        request = tiny.configure_request(base, dataset, golden, tuning_method=method, **chosen)
        plan = tiny.make_plan(store, request, {"save_steps": 4, "eval_steps": 6, **(numbers or {})})
        return tiny.make_run(store, plan)

    return make


def kill_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    original = reporting.Reporter.on_step_end

    def on_step_end(self: Any, args: Any, state: Any, control: Any, **keywords: Any) -> None:
        if state.global_step == step:
            raise Killed
        original(self, args, state, control, **keywords)

    monkeypatch.setattr(reporting.Reporter, "on_step_end", on_step_end)


@pytest.mark.row("R3")
@pytest.mark.parametrize("method", ["lora", "full", "prefix_tuning"])
def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    method: str, make_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dropout, the data order, the optimizer and the schedule all continue."""
    whole = make_job(method)
    uninterrupted = train_job.run(whole)
    job = make_job(method)
    with monkeypatch.context() as patch:
        kill_at(patch, 7)
        with pytest.raises(Killed):
            train_job.run(job)
    assert not job.paths.adapter.exists()

    resumed = train_job.run(tiny.next_attempt(job))

    assert tiny.losses(job.paths) == tiny.losses(whole.paths), "to the last bit"
    assert resumed.eval_loss == uninterrupted.eval_loss
    assert resumed.base_eval_loss == uninterrupted.base_eval_loss
    assert resumed.trained_tokens == uninterrupted.trained_tokens
    steps = [event["step"] for event in read_events(job.paths.journal) if event["event"] == "progress"]
    assert steps == [*range(1, 7), *range(5, STEPS + 1)], "from step 4 on, where the last checkpoint was"


def test_a_stop_finishes_the_step_commits_a_checkpoint_and_can_be_resumed(make_job: Any) -> None:
    job = make_job()
    started = reporting.Reporter.on_train_begin

    def stop_at_once(self: Any, *arguments: Any, **keywords: Any) -> None:
        request_stop(job.paths, 1, 60.0)
        started(self, *arguments, **keywords)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reporting.Reporter, "on_train_begin", stop_at_once)
        with pytest.raises(Stopped):
            train_job.run(job)

    checkpoint = checkpoints.latest_committed(job.paths)
    assert checkpoint is not None and checkpoint.step == 1
    assert list(tiny.losses(job.paths)) == [1]
    assert train_job.run(tiny.next_attempt(job)).steps == STEPS


def test_a_stop_before_the_first_step_ends_the_run_without_training(make_job: Any) -> None:
    job = make_job()
    request_stop(job.paths, 1, 60.0)

    with pytest.raises(Stopped):
        train_job.run(job)

    assert tiny.losses(job.paths) == {}


def test_only_the_two_newest_checkpoints_are_kept_and_nothing_else_is_left(make_job: Any) -> None:
    job = make_job()

    train_job.run(job)

    assert sorted(entry.name for entry in job.paths.checkpoints.iterdir()) == [
        "step-00000008",
        "step-00000012",
    ]
    assert list(job.scratch.iterdir()) == []
    files = {entry.name for entry in (job.paths.checkpoints / "step-00000012").iterdir()}
    assert {"manifest.json", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json"} <= files
    assert "training_args.bin" not in files
    committed = [event["step"] for event in read_events(job.paths.journal) if event["event"] == "checkpoint"]
    assert committed == [4, 8, 12]


def test_an_attempt_after_the_adapter_was_committed_succeeds_again(make_job: Any) -> None:
    job = make_job()
    first = train_job.run(job)

    again = train_job.run(tiny.next_attempt(job))

    assert (again.steps, again.adapter) == (first.steps, first.adapter)


def test_a_loss_that_is_not_a_number_ends_the_run_and_names_a_smaller_learning_rate(make_job: Any) -> None:
    job = make_job("full", learning_rate=1.0, max_steps=40)
    with pytest.MonkeyPatch.context() as patch:
        import torch

        patch.setattr(torch.nn.utils, "clip_grad_norm_", lambda parameters, *_, **__: _ruin(parameters))
        with pytest.raises(TrainingDiverged) as error:
            train_job.run(job)

    assert "at step 2" in error.value.message, "as soon as it is seen, and not told as the loss before it"
    assert "learning_rate=0.2" in error.value.recovery
    assert not job.paths.adapter.exists()


def _ruin(parameters: Any) -> Any:
    import torch

    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad.fill_(float("nan"))
    return torch.tensor(1.0)


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (MemoryError(), OutOfMemory),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            OutOfMemory,
        ),
        (OSError(28, "No space left on device"), DiskFull),
    ],
)
def test_exhausted_memory_and_a_full_disk_are_told_as_such(
    raised: BaseException, told: type[Exception], make_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_the_ladders_foot = {
        "micro_batch_size": 1, "gradient_accumulation_steps": 8,
        "activation_checkpointing": True, "optim": "adamw_8bit",
    }  # fmt: skip
    job = make_job(numbers=at_the_ladders_foot)

    def fail(*_: Any, **__: Any) -> None:
        raise raised

    monkeypatch.setattr(checkpoints, "commit", fail)
    with pytest.raises(told):
        train_job.run(job)


@pytest.mark.parametrize(("fit", "limited"), [("tight", False), ("does_not_fit", False), ("fits", True)])
def test_memory_is_spared_where_it_may_not_do(
    fit: str, limited: bool, make_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not _spared(make_job(), "fits", False, monkeypatch)
    assert _spared(make_job(), fit, limited, monkeypatch)


def _spared(job: JobContext, fit: str, limited: bool, monkeypatch: pytest.MonkeyPatch) -> bool:
    plan = read_document(job.paths.plan, Plan)
    assert plan is not None
    write_document(job.paths.plan, plan.model_copy(update={"fit": fit}))
    spared: list[bool] = []
    monkeypatch.setattr(train_job, "is_limited", lambda: limited)
    monkeypatch.setattr(train_job, "spare_memory", lambda: spared.append(True))
    monkeypatch.setattr(train_job, "_train", lambda *_: None)
    train_job.run(job)
    return bool(spared)


def test_a_training_that_failed_leaves_the_next_one_all_threads(
    make_job: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    monkeypatch.setattr(threads, "choose_threads", lambda *_: 2)
    kill_at(monkeypatch, 2)
    try:
        with pytest.raises(Killed):
            train_job.run(make_job())
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)


def test_another_dataset_than_the_plans_is_refused(make_job: Any, base: Path, store: Store) -> None:
    job = make_job()
    plan = tiny.make_plan(store, tiny.configure_request(base, tiny.add_dataset(store, tiny.colour_rows(10))))
    job = tiny.make_run(store, plan.model_copy(update={"dataset_fingerprint": "other"}))

    with pytest.raises(Mismatch):
        train_job.run(job)


def test_a_base_model_that_changed_since_the_plan_is_refused(
    make_job: Any, store: Store, tmp_path: Path
) -> None:
    folder = tiny.make_model(tmp_path / "changing")
    plan = tiny.make_plan(
        store, tiny.configure_request(folder, tiny.add_dataset(store, tiny.colour_rows(10)))
    )
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"rms_norm_eps": 1e-06', '"rms_norm_eps": 1e-05'))

    with pytest.raises(Mismatch):
        train_job.run(tiny.make_run(store, plan))


def test_a_run_without_its_plan_is_refused(make_job: Any) -> None:
    job = make_job()
    job.paths.plan.unlink()

    with pytest.raises(NotReady):
        train_job.run(job)

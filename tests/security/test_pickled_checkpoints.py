"""A pickle that somebody put into a run's checkpoints is never run, whatever it is called and whoever lists it."""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training import tiny
from tunesmith.jobs.context import JobContext
from tunesmith.jobs.files import read_document, write_document
from tunesmith.jobs.journal import read_events
from tunesmith.jobs.paths import Store
from tunesmith.training import train_job
from tunesmith.training.checkpoints import FileEntry, Manifest

pytestmark = pytest.mark.row("S8")

STEPS = 4
NEWEST, OLDER = "step-00000004", "step-00000002"


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, made: Path) -> None:
        self.made = made

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.made),)


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> JobContext:
    """A run of four steps, with checkpoints of its second and fourth, whose adapter was lost."""
    folder = tmp_path_factory.mktemp("trained")
    base = tiny.make_model(folder / "tiny-llama")
    store = Store(folder / "store")
    dataset = tiny.add_dataset(store, tiny.colour_rows(40))
    request = tiny.configure_request(base, dataset, learning_rate=1e-2, max_steps=STEPS)
    job = tiny.make_run(store, tiny.make_plan(store, request, {"save_steps": 2}))
    train_job.run(job)
    shutil.rmtree(job.paths.adapter)
    return job


@pytest.fixture
def job(trained: JobContext, tmp_path: Path) -> JobContext:
    """The same run in a store of its own, about to be resumed."""
    shutil.copytree(trained.store.root, tmp_path / "store")
    store = Store(tmp_path / "store")
    paths = store.handle(trained.handle)
    return tiny.next_attempt(JobContext(store, paths, type(trained.journal)(paths.journal, 1)))


@pytest.fixture
def payload(tmp_path: Path) -> Payload:
    found = Payload(tmp_path / "the-payload-ran")
    pickle.loads(pickle.dumps(found))
    assert found.made.is_dir(), "a payload that works"
    found.made.rmdir()
    return found


def phases(job: JobContext) -> list[str]:
    return [event["phase"] for event in read_events(job.paths.journal) if event["event"] == "phase"]


def listed(folder: Path, *names: str) -> None:
    """Have the manifest list the files as they are now."""
    manifest = read_document(folder / "manifest.json", Manifest)
    assert manifest is not None
    entries = {
        name: FileEntry(
            size_bytes=(folder / name).stat().st_size,
            sha256=hashlib.sha256((folder / name).read_bytes()).hexdigest(),
        )
        for name in names
    }
    write_document(
        folder / "manifest.json", manifest.model_copy(update={"files": {**manifest.files, **entries}})
    )


@pytest.mark.parametrize(
    "name",
    [
        "optimizer.pt",  # listed, and changed
        "rng_state.pth",
        "adapter_model.bin",  # never listed
        "training_args.bin",
    ],
)
def test_a_pickle_that_is_not_as_the_manifest_says_costs_its_checkpoint_and_runs_nothing(
    name: str, job: JobContext, payload: Payload
) -> None:
    (job.paths.checkpoints / NEWEST / name).write_bytes(pickle.dumps(payload))

    outcome = train_job.run(job)

    assert not payload.made.exists()
    assert "training, from step 2 on" in phases(job)
    assert outcome.steps == STEPS


def test_a_pickle_of_the_very_size_is_told_by_its_content(job: JobContext, payload: Payload) -> None:
    file = job.paths.checkpoints / NEWEST / "optimizer.pt"
    size = file.stat().st_size
    file.write_bytes(pickle.dumps(payload).ljust(size, b"\0"))
    assert file.stat().st_size == size

    train_job.run(job)

    assert not payload.made.exists()
    assert "training, from step 2 on" in phases(job)


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("optimizer.pt", "pickle"),
        ("optimizer.pt", "torch"),
        ("rng_state.pth", "torch"),
        ("scheduler.pt", "torch"),
    ],
)
def test_a_pickle_that_a_forged_manifest_lists_ends_the_attempt_and_runs_nothing(
    name: str, form: str, job: JobContext, payload: Payload
) -> None:
    """With the right size and hash nothing but the loading itself is left to refuse it."""
    shutil.rmtree(job.paths.checkpoints / NEWEST)  # at its last step only the weights would be loaded
    folder = job.paths.checkpoints / OLDER
    if form == "pickle":
        (folder / name).write_bytes(pickle.dumps(payload))
    else:
        torch.save(payload, folder / name)
    listed(folder, name)

    with pytest.raises(pickle.UnpicklingError, match=r"(?i)weights.only"):
        train_job.run(job)

    assert "training, from step 2 on" in phases(job)
    assert not payload.made.exists()


def test_a_forged_manifest_cannot_bring_in_pickled_weights(job: JobContext, payload: Payload) -> None:
    """The names that libraries would load beside, or instead of, safetensors."""
    shutil.rmtree(job.paths.checkpoints / NEWEST)
    folder = job.paths.checkpoints / OLDER
    names = ("adapter_model.bin", "pytorch_model.bin", "training_args.bin", "optimizer.bin")
    for name in names:
        torch.save(payload, folder / name)
    listed(folder, *names)

    with pytest.raises(pickle.UnpicklingError, match=r"(?i)weights.only"):
        train_job.run(job)

    assert not payload.made.exists()


@pytest.mark.parametrize("instead", ["link", "outside"])
def test_a_checkpoint_is_made_of_its_own_files_alone(instead: str, job: JobContext, tmp_path: Path) -> None:
    folder = job.paths.checkpoints / NEWEST
    elsewhere = tmp_path / "optimizer.pt"
    shutil.copy(folder / "optimizer.pt", elsewhere)
    if instead == "link":
        (folder / "optimizer.pt").unlink()
        (folder / "optimizer.pt").symlink_to(elsewhere)
    else:
        listed(folder, os.path.relpath(elsewhere, folder))

    train_job.run(job)

    assert "training, from step 2 on" in phases(job)


def test_what_a_file_manager_leaves_costs_no_checkpoint(job: JobContext) -> None:
    (job.paths.checkpoints / NEWEST / ".DS_Store").write_bytes(b"\0")

    assert train_job.run(job).steps == STEPS
    assert "training, from step 4 on" in phases(job)

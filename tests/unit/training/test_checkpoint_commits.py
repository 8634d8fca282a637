from __future__ import annotations

import os
from pathlib import Path

import pytest

from tunesmith.jobs.paths import HandlePaths
from tunesmith.training import checkpoints
from tunesmith.training.checkpoints import commit, latest_committed


@pytest.fixture
def paths(tmp_path: Path) -> HandlePaths:
    folder = tmp_path / "run-aaaaaaaaaaaaaaaa"
    (folder / "scratch").mkdir(parents=True)
    return HandlePaths(folder)


def made(paths: HandlePaths, step: int) -> Path:
    folder = paths.scratch / f"checkpoint-{step}"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"weights of step %d" % step)
    (folder / "training_args.bin").write_bytes(b"a pickle")
    return folder


def commit_steps(paths: HandlePaths, *steps: int) -> None:
    for step in steps:
        commit(made(paths, step), paths, step, attempt=1)


def kept(paths: HandlePaths) -> list[str]:
    return sorted(entry.name for entry in paths.checkpoints.iterdir())


@pytest.mark.row("S8")
def test_a_committed_checkpoint_is_found_and_holds_no_pickle_of_arguments(paths: HandlePaths) -> None:
    commit_steps(paths, 3)
    newest = latest_committed(paths)

    assert newest is not None and newest.step == 3
    assert sorted(entry.name for entry in newest.folder.iterdir()) == ["manifest.json", "weights.safetensors"]
    assert not list(paths.scratch.iterdir())


def test_a_run_without_checkpoints_has_none(paths: HandlePaths) -> None:
    assert latest_committed(paths) is None


def test_the_two_newest_by_step_are_kept_whatever_the_clock_says(paths: HandlePaths) -> None:
    commit_steps(paths, 5, 10)
    os.utime(paths.checkpoints / "step-00000010", (1, 1))
    commit_steps(paths, 15)

    assert kept(paths) == ["step-00000010", "step-00000015"]


def test_a_folder_without_a_manifest_does_not_count(paths: HandlePaths) -> None:
    commit_steps(paths, 5)
    torn = paths.checkpoints / "step-00000009"
    torn.mkdir()
    (torn / "weights.safetensors").write_bytes(b"half")

    newest = latest_committed(paths)
    assert newest is not None and newest.step == 5
    commit_steps(paths, 9)
    newest = latest_committed(paths)
    assert newest is not None and newest.step == 9


@pytest.mark.parametrize("damage", [b"cut", b"weights of step 9", None])
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(
    damage: bytes | None, paths: HandlePaths
) -> None:
    commit_steps(paths, 4, 8)
    file = paths.checkpoints / "step-00000008" / "weights.safetensors"
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage)

    newest = latest_committed(paths)
    assert newest is not None and newest.step == 4


def test_a_repeated_step_keeps_the_checkpoint_that_is_committed_already(paths: HandlePaths) -> None:
    commit_steps(paths, 4)
    again = made(paths, 4)
    (again / "weights.safetensors").write_bytes(b"other")
    commit(again, paths, 4, attempt=2)

    assert (paths.checkpoints / "step-00000004" / "weights.safetensors").read_bytes() == b"weights of step 4"
    assert not again.exists()


def test_nothing_older_is_dropped_before_the_new_one_is_whole(
    paths: HandlePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_steps(paths, 1, 2)

    def full_disk(*_: object) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(checkpoints, "write_document", full_disk)
    with pytest.raises(Exception, match="no room"):
        commit_steps(paths, 3)

    newest = latest_committed(paths)
    assert newest is not None and newest.step == 2
    assert {"step-00000001", "step-00000002"} <= set(kept(paths))

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tunesmith.schemas.errors import InvalidArgument, MissingExtra, SourceNotFound, UnsafePath
from tunesmith.tools import benchmarks
from tunesmith.tools.benchmarks import located_benchmarks


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(benchmarks, "is_installed", lambda name: True)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path / "work"))
    monkeypatch.delenv("TUNESMITH_ROOTS", raising=False)


def test_without_the_harness_only_benchmarks_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks, "is_installed", lambda name: False)
    assert located_benchmarks(["loss", "regex:lm_eval"]) == ["loss", "regex:lm_eval"]
    with pytest.raises(MissingExtra) as told:
        located_benchmarks(["loss", "lm_eval:arc_easy"])
    assert "pip install 'tunesmith[lm-eval]'" in told.value.recovery


def test_a_task_file_becomes_an_absolute_path_and_a_task_stays_a_name(tmp_path: Path) -> None:
    file = tmp_path / "work" / "colours.yaml"
    file.touch()
    assert located_benchmarks(["loss", "lm_eval:colours.yaml", "lm_eval:arc_easy"]) == [
        "loss",
        f"lm_eval:{file}",
        "lm_eval:arc_easy",
    ]


def test_files_outside_the_allowed_folders_and_names_of_nothing_are_refused(tmp_path: Path) -> None:
    (tmp_path / "private.yaml").touch()
    os.symlink(tmp_path / "private.yaml", tmp_path / "work" / "link.yaml")
    for name in ("../private.yaml", "link.yaml"):
        with pytest.raises(UnsafePath):
            located_benchmarks([f"lm_eval:{name}"])
    with pytest.raises(SourceNotFound):
        located_benchmarks(["lm_eval:missing.yaml"])
    for name in ("", "a b", "../up", "--help", "https://example.org/task.yaml"):
        with pytest.raises(InvalidArgument):
            located_benchmarks([f"lm_eval:{name}"])

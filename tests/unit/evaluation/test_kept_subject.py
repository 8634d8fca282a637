"""A process that answers more than once loads a model once."""

from __future__ import annotations

import os
import shutil
import weakref
from pathlib import Path
from typing import Any

import pytest
from peft import LoraConfig, get_peft_model
from transformers import LlamaForCausalLM

from tunesmith.evaluation import kept_subject as module
from tunesmith.evaluation.kept_subject import kept_subject
from tunesmith.schemas.enums import TuningMethod
from tunesmith.schemas.errors import TunesmithError
from tunesmith.schemas.evaluations import ModelReference


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_kept", [])


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def local(folder: Path) -> ModelReference:
    return ModelReference(name=folder.name, kind="local", path=str(folder))


def test_the_same_model_is_loaded_once(store: Any, folder: Path) -> None:
    first = kept_subject(store, local(folder))
    assert kept_subject(store, local(folder)) is first


def test_a_model_whose_files_have_changed_is_loaded_anew(store: Any, folder: Path) -> None:
    first = kept_subject(store, local(folder))
    weights = folder / "model.safetensors"
    later = weights.stat().st_mtime_ns + 1_000_000
    os.utime(weights, ns=(later, later))
    assert kept_subject(store, local(folder)) is not first


def test_a_run_and_its_base_are_two_models_of_which_one_is_in_memory(
    store: Any, folder: Path, tiny_folder: Path, add_run: Any
) -> None:
    def save(into: Path) -> None:
        config = LoraConfig(task_type="CAUSAL_LM", r=2, target_modules=["q_proj"])
        get_peft_model(LlamaForCausalLM.from_pretrained(tiny_folder), config).save_pretrained(into)

    run = ModelReference(name=add_run(save, TuningMethod.LORA), kind="run", path=None)
    base = weakref.ref(kept_subject(store, local(folder)).model)
    tuned = kept_subject(store, run)
    assert hasattr(tuned.model, "peft_config")
    assert base() is None
    assert kept_subject(store, run) is tuned


def test_a_model_that_cannot_be_loaded_leaves_nothing_behind(store: Any, folder: Path) -> None:
    kept_subject(store, local(folder))
    (folder / "config.json").write_text("{")
    with pytest.raises(TunesmithError):
        kept_subject(store, local(folder))
    assert module._kept == []


def test_what_lies_below_a_models_folder_or_leads_nowhere_is_not_looked_at(store: Any, folder: Path) -> None:
    (folder / "below").mkdir()
    (folder / "nowhere").symlink_to(folder / "gone")
    first = kept_subject(store, local(folder))
    (folder / "below" / "more").mkdir()
    deep = folder / "below" / "more" / "file"
    deep.write_text("one")
    again = kept_subject(store, local(folder))
    deep.write_text("another")
    assert kept_subject(store, local(folder)) is again
    assert first.name == again.name


def test_a_folder_that_is_gone_is_told_as_such(store: Any, folder: Path) -> None:
    kept_subject(store, local(folder))
    shutil.rmtree(folder)
    with pytest.raises(TunesmithError):
        kept_subject(store, local(folder))

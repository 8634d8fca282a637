"""The finished adapter: a folder that plain PEFT, or after full fine-tuning plain transformers, can load."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tunesmith.jobs.files import commit_folder, storage_errors, write_document
from tunesmith.jobs.paths import HandlePaths
from tunesmith.schemas.enums import TuningMethod
from tunesmith.schemas.plans import Plan
from tunesmith.training.lora_initialisation import as_ordinary_lora, changes_the_base


def save_adapter(model: Any, tokenizer: Any, plan: Plan, paths: HandlePaths, scratch: Path) -> None:
    """Write the trained weights, the tokenizer and the plan into `scratch`, and commit them with one rename.

    An adapter that an earlier attempt committed stays.

    Raises:
        DiskFull, StorageFailed: there is no adapter folder.
    """
    made = scratch / "adapter"
    with storage_errors(paths.adapter):
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        _write(model, tokenizer, plan, made)
        try:
            commit_folder(made, paths.adapter)
        except FileExistsError:
            shutil.rmtree(made)


def _write(model: Any, tokenizer: Any, plan: Plan, folder: Path) -> None:
    if plan.config.tuning_method is TuningMethod.FULL:
        model.save_pretrained(folder)
    elif changes_the_base(model):
        _write_as_ordinary_lora(model, folder)
        _name_base(folder / "adapter_config.json", plan)
    else:
        # "auto" would ask the Hub whether the vocabulary has changed; it never does here.
        model.save_pretrained(folder, save_embedding_layers=False)
        _name_base(folder / "adapter_config.json", plan)
        (folder / "README.md").unlink(
            missing_ok=True
        )  # PEFT's empty model card; publishing writes a real one
    tokenizer.save_pretrained(folder)
    write_document(folder / "plan.json", plan)


def _write_as_ordinary_lora(model: Any, folder: Path) -> None:
    from safetensors.torch import save_file

    tensors, config = as_ordinary_lora(model)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config.save_pretrained(folder)


def _name_base(path: Path, plan: Plan) -> None:
    """A base from the Hub is named by its id and commit, so that the adapter means the same on any machine."""
    if plan.config.base_model_kind != "hub":
        return
    config = json.loads(path.read_bytes())
    config["base_model_name_or_path"] = plan.config.base_model
    config["revision"] = plan.config.base_model_revision
    path.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")

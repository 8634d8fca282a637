"""A base model's architecture without its weights: what config.json alone makes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tunesmith.schemas.errors import UnsupportedModel
from tunesmith.training.base_model import safetensors_headers

_BUILD_ERRORS = (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError, AssertionError)


def bare_model(folder: Path, **options: Any) -> Any:
    """The folder's model with parameters that have shapes and no values (torch's meta device).

    `options` go to `from_config`: an attention or experts implementation.

    Raises:
        UnsupportedModel: transformers cannot build it.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, trust_remote_code=False, **options)
    except _BUILD_ERRORS as error:
        raise UnsupportedModel(
            f"transformers cannot build the model in {folder.name} from its config.json "
            f"({type(error).__name__}).",
            "Check config.json, or choose another base model.",
        ) from error


def check_embeddings(folder: Path, model: Any) -> None:
    """See to it that the weights hold the embedding and the output head that config.json speaks of.

    Raises:
        UnsupportedModel: a stored matrix has another shape: tokens would be looked up that are not there, or
            rows would be filled with noise.
    """
    stored = {
        name: entry["shape"]
        for _, _, header in safetensors_headers(folder)
        for name, entry in header.items()
        if name != "__metadata__"
    }
    ends = [model.get_input_embeddings(), model.get_output_embeddings()]
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if module not in ends or weight is None:
            continue
        # A checkpoint of the bare decoder leaves out the prefix.
        bare = name.removeprefix(f"{model.base_model_prefix}.")
        found = stored.get(f"{name}.weight") or stored.get(f"{bare}.weight")
        if found is not None and list(found) != list(weight.shape):
            raise UnsupportedModel(
                f"config.json of {folder.name} describes {name} as {_spelt(weight.shape)}, and the weights hold "
                f"{_spelt(found)}: the vocabulary does not match its embedding.",
                "Set vocab_size in config.json to what the weights hold, or choose another base model.",
            )


def _spelt(shape: Any) -> str:
    return " x ".join(str(size) for size in shape)

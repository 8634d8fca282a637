"""Base models: where they are, whether they are safe to load, and what identifies them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from tunesmith.schemas.errors import HubAuth, HubUnavailable, ModelNotFound, UnsafeModel, UnsupportedModel
from tunesmith.schemas.plans import ModelKind

_ALLOWED_FILES = ["*.safetensors", "*.json", "*.jinja", "*.txt", "tokenizer.model", "*.tiktoken"]
"""What is fetched from the Hub: never pickles (*.bin, *.pt), never code (*.py)."""

_WITHOUT_WEIGHTS = [pattern for pattern in _ALLOWED_FILES if pattern != "*.safetensors"]
_LEFT_OUT_FILES = ["*/*", "consolidated*"]
"""Other layouts of the same weights."""
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")
_ENCODERS = {
    "bert", "bert-generation", "big_bird", "camembert", "data2vec-text", "electra", "ernie", "megatron-bert", "rembert",
    "roberta", "roberta-prelayernorm", "roc_bert", "roformer", "xlm-roberta", "xlm-roberta-xl", "xmod",
}  # fmt: skip
"""They have a causal head, and a mask that hides what comes next only where config.json says is_decoder."""
_FIND_ANOTHER = 'Pass base_model as "demo", a local folder in the Hugging Face layout, or a Hub id.'


@dataclass(frozen=True)
class ResolvedModel:
    """A base model on this machine. `revision` is the Hub commit, where there is one."""

    folder: Path
    revision: str | None
    fingerprint: str


def resolve_base(kind: ModelKind, name: str, path: str | None, revision: str | None) -> ResolvedModel:
    """The folder that holds the base model, fetched from the Hub when it is not there yet, and checked.

    Raises:
        ModelNotFound, HubUnavailable, HubAuth: it cannot be had.
        UnsafeModel, UnsupportedModel: it is not one to load; see `check_model_folder`.
    """
    if kind == "demo":
        from tunesmith.demo import base_model_path

        folder, commit = base_model_path(), None
    elif kind == "local":
        folder, commit = Path(path or name), None
    else:
        folder, commit = _from_hub(name, revision)
    check_model_folder(folder)
    return ResolvedModel(folder, commit, fingerprint(folder))


def tokenizer_folder(kind: ModelKind, name: str, path: str | None) -> Path:
    """A folder with the base model's tokenizer and config.json; from the Hub no weights are fetched.

    Raises:
        ModelNotFound, HubUnavailable, HubAuth: it cannot be had.
        UnsafeModel: it needs code of its own.
    """
    if kind == "hub":
        folder, _ = _from_hub(name, None, _WITHOUT_WEIGHTS)
    else:
        folder = resolve_base(kind, name, path, None).folder
    if not (folder / "config.json").is_file():
        raise ModelNotFound(
            f"There is no model in {_name_of(folder)}: config.json is missing.", _FIND_ANOTHER
        )
    for file in ("config.json", "tokenizer_config.json"):
        _refuse_code(folder / file, _name_of(folder))
    return folder


def check_model_folder(path: Path) -> None:
    """Look at a folder before anything in it is loaded.

    Raises:
        ModelNotFound: there is no config.json, or there are no weights.
        UnsafeModel: it needs code of its own (auto_map) or has its weights as pickles only.
        UnsupportedModel: it is not a causal language model.
    """
    model = _name_of(path)
    if not (path / "config.json").is_file():
        raise ModelNotFound(f"There is no model in {model}: config.json is missing.", _FIND_ANOTHER)
    config = _json_object(path / "config.json")
    for name in ("config.json", "tokenizer_config.json", "generation_config.json"):
        _refuse_code(path / name, model)
    _refuse_other_tasks(config, model)
    weights = _weights_files(path)
    missing = [file.name for file in weights if not file.is_file()]
    if missing:
        raise ModelNotFound(f"{missing[0]} of the model in {model} is missing.", "Copy or download it again.")
    if not weights:
        pickles = [entry.name for entry in path.iterdir() if entry.suffix in _PICKLES]
        if pickles:
            raise UnsafeModel(
                f"{model} has its weights only as pickles ({pickles[0]}), which can run code when loaded.",
                "Choose a base model with safetensors weights, or convert this one where you trust its origin.",
            )
        raise ModelNotFound(
            f"There are no weights (*.safetensors) in {model}; pickles (*.bin, *.pt) are never fetched.",
            _FIND_ANOTHER,
        )


def read_config(folder: Path) -> dict[str, Any]:
    """The folder's config.json.

    Raises:
        UnsupportedModel: it is not a JSON object.
    """
    return _json_object(folder / "config.json")


def safetensors_headers(folder: Path) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Name, size in bytes, and header (tensor name to dtype, shape, offsets) of each weights file, by name.

    Raises:
        UnsupportedModel: a file is cut short or is not safetensors.
    """
    for path in _weights_files(folder):
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > size - 8:
                raise _damaged(path)
            try:
                header = json.loads(file.read(length))
                ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
            except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
                raise _damaged(path) from error
            if size != 8 + length + max(ends, default=0):
                raise _damaged(path)
        yield path.name, size, header


def fingerprint(folder: Path) -> str:
    """sha256 over config.json and over the name, size and header of every weights file."""
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for name, size, header in safetensors_headers(folder):
        digest.update(json.dumps([name, size, header], sort_keys=True).encode())
    return digest.hexdigest()


def _weights_files(folder: Path) -> list[Path]:
    """The files that transformers would load; a folder may hold the same weights in another layout beside them."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        named = _json_object(index).get("weight_map")
        names = {str(name) for name in named.values()} if isinstance(named, dict) else set()
        if any(Path(name).name != name for name in names):
            raise UnsafeModel(
                f"{_name_of(folder)}/{index.name} names files outside its folder.", _FIND_ANOTHER
            )
        return sorted(folder / name for name in names)
    single = folder / "model.safetensors"
    return [single] if single.is_file() else []


def _from_hub(name: str, revision: str | None, patterns: Sequence[str] = _ALLOWED_FILES) -> tuple[Path, str]:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    fetch = partial(
        snapshot_download,
        name,
        revision=revision,
        allow_patterns=list(patterns),
        ignore_patterns=_LEFT_OUT_FILES,
    )
    if revision is not None and _COMMIT.fullmatch(revision):
        # A commit never changes. What planning fetched is taken without asking the Hub again, which might want a token
        # that this process has not got.
        with suppress(LocalEntryNotFoundError):
            folder = Path(fetch(local_files_only=True))
            if patterns is not _ALLOWED_FILES or _has_its_weights(folder):
                return folder, revision
    try:
        folder = Path(fetch())
    except GatedRepoError as error:
        raise HubAuth(
            f"{name} is gated on the Hub.", "Accept its terms on its page, set HF_TOKEN, and call again."
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
        raise ModelNotFound(
            f"The Hub has no model {name!r} (revision {revision or 'main'}), or HF_TOKEN may not see it.",
            _FIND_ANOTHER,
        ) from error
    except LocalEntryNotFoundError as error:
        raise _unreachable(name) from error
    except HfHubHTTPError as error:
        if error.response is not None and error.response.status_code in (401, 403):
            raise HubAuth(f"The Hub refused {name} to this token.", "Set HF_TOKEN and call again.") from error
        raise _unreachable(name) from error
    except (OSError, ValueError, RuntimeError) as error:
        raise _unreachable(name) from error
    # A snapshot's folder is named by its commit.
    return folder, folder.name


def _has_its_weights(folder: Path) -> bool:
    """Whether nothing is missing: what only looks at a model fetches its small files alone."""
    files = _weights_files(folder)
    return bool(files) and all(file.is_file() for file in files)


def _unreachable(name: str) -> HubUnavailable:
    return HubUnavailable(
        f"{name} could not be fetched: the Hub cannot be reached and the model is not in the local cache.",
        'Check the network or HF_ENDPOINT and call again, or use base_model="demo" or a local folder.',
    )


def _name_of(folder: Path) -> str:
    """What a person calls it: the Hub id, where it is a snapshot in the Hub's cache, which is named by its commit."""
    repository = folder.parent.parent.name
    if folder.parent.name == "snapshots" and repository.startswith("models--"):
        return repository.removeprefix("models--").replace("--", "/")
    return folder.name


def _json_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        value = None
    if not isinstance(value, dict):
        raise UnsupportedModel(f"{_name_of(path.parent)}/{path.name} is not a JSON object.", _FIND_ANOTHER)
    return value


def _refuse_code(path: Path, model: str) -> None:
    """`trust_remote_code=False` alone has been got around (CVE-2026-4372, CVE-2026-5241)."""
    if not path.is_file():
        return
    for key, value in _entries(_json_object(path)):
        kernel = "attn_implementation" in key and isinstance(value, str) and "/" in value
        if (key == "auto_map" and value) or kernel:
            raise UnsafeModel(
                f"{model} brings code of its own ({key} in {path.name}), and Tunesmith runs none.",
                "Choose a base model that transformers supports itself.",
            )


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from _entries(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _entries(inner)


def _refuse_other_tasks(config: dict[str, Any], model: str) -> None:
    architectures = config.get("architectures") or []
    model_type = config.get("model_type")
    known = model_type in _causal_model_types()
    causal = any(str(name).endswith(("ForCausalLM", "LMHeadModel")) for name in architectures)
    if known and (causal or not architectures):
        if model_type in _ENCODERS and not config.get("is_decoder"):
            raise UnsupportedModel(
                f"{model} reads in both directions ({model_type} without is_decoder): it would see the answers that "
                "it is to learn.",
                "Choose a model that writes text from left to right (its config.json says …ForCausalLM).",
            )
        return
    what = architectures[0] if architectures else f"model_type {model_type!r}"
    raise UnsupportedModel(
        f"{model} is not a causal language model that transformers supports ({what}).",
        "Choose a model that writes text from left to right (its config.json says …ForCausalLM).",
    )


@cache
def _causal_model_types() -> frozenset[str]:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return frozenset(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def _damaged(path: Path) -> UnsupportedModel:
    return UnsupportedModel(
        f"The weights file {_name_of(path.parent)}/{path.name} is damaged or incomplete.",
        "Copy or download it again.",
    )

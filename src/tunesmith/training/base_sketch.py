"""A Hub model before its weights are here: a folder that has its small files, and of its weights the heads alone.

A safetensors file begins with the length of its header and the header, which names every tensor's type and shape
(github.com/huggingface/safetensors, "Format"). The sketch holds these bytes, fetched by range requests, and behind them
a hole as long as the weights, which takes no space on a disk: what reads shapes reads a sketch like the model itself.
"""

from __future__ import annotations

import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from tunesmith.schemas.errors import HubUnavailable, ModelNotFound, UnsupportedModel
from tunesmith.training.base_model import ResolvedModel, check_model_folder, fingerprint, tokenizer_folder

_FIRST_BYTES = 100_000
"""Most headers are shorter (huggingface_hub's own first request)."""
_LARGEST_HEADER_BYTES = 100_000_000
"""The format's own limit."""
_TIMEOUT_S = 30
_AT_A_TIME = 8
_INDEX = "model.safetensors.index.json"


def sketch_base(name: str, into: Path) -> ResolvedModel:
    """The Hub's model `name`: from this machine's cache where it is complete, else a sketch of it in the folder `into`.

    Raises:
        ModelNotFound, HubUnavailable, HubAuth: it cannot be had.
        UnsafeModel, UnsupportedModel: see `check_model_folder`.
    """
    small = tokenizer_folder("hub", name, None)
    commit = small.name
    try:
        check_model_folder(small)
    except ModelNotFound:
        _draw(name, small, into)
        check_model_folder(into)
        return ResolvedModel(into, commit, fingerprint(into))
    return ResolvedModel(small, commit, fingerprint(small))


def _draw(name: str, small: Path, into: Path) -> None:
    into.mkdir(parents=True)
    for entry in small.iterdir():
        if entry.is_file() and entry.suffix != ".safetensors":
            shutil.copyfile(entry, into / entry.name)
    fetch = partial(_head_of, name, small.name)
    names = _weights_names(small)
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        for file_name, found in zip(names, pool.map(fetch, names), strict=True):
            if found is None:
                continue
            head, size = found
            with (into / file_name).open("wb") as file:
                file.write(head)
                file.truncate(size)


def _weights_names(folder: Path) -> list[str]:
    """The files that the index names, or the only one that there may be."""
    index = folder / _INDEX
    if not index.is_file():
        return ["model.safetensors"]
    try:
        named = json.loads(index.read_bytes())["weight_map"].values()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnsupportedModel(
            f"{_INDEX} of the base model is damaged.", "Choose another base model."
        ) from error
    return sorted({str(name) for name in named if Path(str(name)).name == name})


def _head_of(model: str, commit: str, file_name: str) -> tuple[bytes, int] | None:
    """The bytes up to the end of the header, and the size of the whole file; None where the Hub has no such file."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError
    from huggingface_hub.utils import httpx

    url = hf_hub_url(model, file_name, revision=commit)
    try:
        head, size = _range(url, _FIRST_BYTES)
        length = 8 + int.from_bytes(head[:8], "little")
        if length > min(size, _LARGEST_HEADER_BYTES):
            raise UnsupportedModel(
                f"{file_name} of {model} is no safetensors file, or damaged.", "Choose another base model."
            )
        if length > len(head):
            head, size = _range(url, length)
    except EntryNotFoundError:
        return None
    except (HfHubHTTPError, httpx.HTTPError, OSError) as error:
        raise HubUnavailable(
            f"The head of {file_name} of {model} could not be fetched.",
            "Check the network or HF_ENDPOINT, and call configure_lora again.",
        ) from error
    return head[:length], size


def _range(url: str, count: int) -> tuple[bytes, int]:
    """The file's first `count` bytes, or all it has, and its size."""
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    headers = {**build_hf_headers(), "Range": f"bytes=0-{count - 1}"}
    response: Any = get_session().get(url, headers=headers, timeout=_TIMEOUT_S, follow_redirects=True)
    hf_raise_for_status(response)
    told = re.fullmatch(r"bytes \d+-\d+/(\d+)", response.headers.get("Content-Range", ""))
    content: bytes = response.content
    return content, int(told[1]) if told else len(content)

"""Base models that are on this machine already: folders below the allowed roots, and the Hugging Face cache."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from tunesmith import demo
from tunesmith.schemas.errors import TunesmithError
from tunesmith.schemas.models import ModelSource
from tunesmith.training.base_model import check_model_folder, read_config, safetensors_headers
from tunesmith.training.bases.candidate import Candidate, family_of
from tunesmith.training.bases.shape import context_of, shape_of
from tunesmith.training.facts import read_model_facts

DEPTH = 4
FOLDERS = 2_000
"""Folders looked into below one root: a home folder may hold millions."""
MOST = 50
_NEVER = {"node_modules", "site-packages", "__pycache__"}


def demo_candidate() -> Candidate:
    """The embedded model."""
    candidate = _in_folder(demo.base_model_path(), "demo", "demo")
    assert candidate is not None, "the embedded model is sound"
    return candidate


def local_candidates(roots: Sequence[Path], store: Path) -> list[Candidate]:
    """The models below the roots, nearest first; `store`, where finished runs lie, is left out."""
    found: dict[str, Candidate] = {}
    for root in roots:
        for folder in _model_folders(root, {store, demo.base_model_path()}):
            candidate = _in_folder(folder, str(folder), "local")
            if candidate is not None:
                found.setdefault(candidate.id, candidate)
            if len(found) >= MOST:
                return list(found.values())
    return list(found.values())


def cached_candidates() -> list[Candidate]:
    """The models whose main branch lies in the Hugging Face cache with its weights."""
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    found = []
    for repository in sorted(cache.glob("models--*--*")) if cache.is_dir() else []:
        try:
            commit = (repository / "refs" / "main").read_text(encoding="utf-8").strip()
        except OSError:
            continue
        name = repository.name.removeprefix("models--").replace("--", "/")
        candidate = _in_folder(repository / "snapshots" / commit, name, "cache")
        found += [] if candidate is None else [candidate]
    return found


def _model_folders(root: Path, skipped: set[Path]) -> Iterator[Path]:
    """Breadth first, without following links, and not below a model."""
    waiting = deque([(root, 0)])
    looked_into = 0
    while waiting and looked_into < FOLDERS:
        folder, depth = waiting.popleft()
        looked_into += 1
        names, below = _listing(folder)
        if "config.json" in names and any(name.endswith(".safetensors") for name in names):
            yield folder
            continue
        if depth < DEPTH and "pyvenv.cfg" not in names:
            waiting += [(entry, depth + 1) for entry in below if entry not in skipped]


def _listing(folder: Path) -> tuple[set[str], list[Path]]:
    """File names and visible folders; nothing of what cannot be looked into."""
    try:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
            below = [
                Path(entry.path)
                for entry in listed
                if not entry.name.startswith(".")
                and entry.name not in _NEVER
                and entry.is_dir(follow_symlinks=False)
            ]
            return {entry.name for entry in listed}, below
    except OSError:
        return set(), []


def _in_folder(folder: Path, name: str, source: ModelSource) -> Candidate | None:
    """The folder's model; None where configure_lora would refuse it."""
    try:
        check_model_folder(folder)
        config = read_config(folder)
        parameters = sum(
            math.prod(entry["shape"])
            for _, _, header in safetensors_headers(folder)
            for key, entry in header.items()
            if key != "__metadata__"
        )
        shape = shape_of(config, parameters)
        measured = read_model_facts(folder) if shape is None else None
    except (TunesmithError, OSError):
        return None
    return Candidate(
        id=name,
        family=family_of(str(config.get("model_type", ""))),
        source=source,
        parameters=parameters,
        context=context_of(config) if measured is None else measured.context,
        shape=shape,
        gated=False,
        chat_template=_has_template(folder),
        measured=measured,
    )


def _has_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file():
        return True
    try:
        return b'"chat_template"' in (folder / "tokenizer_config.json").read_bytes()
    except OSError:
        return False

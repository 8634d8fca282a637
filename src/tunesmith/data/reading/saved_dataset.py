"""Folders that `datasets.save_to_disk` has written: Arrow files, and JSON files that name them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tunesmith.data.reading.local_file import look_at, reading_errors
from tunesmith.data.reading.parts import FilePart, Part
from tunesmith.schemas.errors import SourceNotFound, UnreadableSource

_MOST_BYTES = 4_000_000


def saved_parts(folder: Path, split: str) -> list[Part]:
    """A part for each Arrow file of the dataset, or of this split of a dataset dictionary.

    Raises:
        SourceNotFound: there is no such split.
        UnreadableSource: its description is damaged, or its rows are stored as a selection of others.
        TunesmithError: as `local_file.look_at`.
    """
    if (folder / "dataset_dict.json").is_file():
        splits = _description(folder / "dataset_dict.json", folder.name).get("splits")
        names = [name for name in splits if isinstance(name, str)] if isinstance(splits, list) else []
        if split not in names:
            raise SourceNotFound(
                f"The saved dataset {folder.name} has no split {split!r}. It has: {', '.join(names)[:400]}.",
                "Call load_dataset again with split= one of them.",
            )
        folder /= _plain_name(split, folder.name)
    state = _description(folder / "state.json", folder.name)
    files = state.get("_data_files")
    if not isinstance(files, list) or not files or state.get("_indices_data_files"):
        raise UnreadableSource(
            f"The saved dataset {folder.name} has no list of files, or keeps a selection of other rows.",
            "Save it again (dataset.flatten_indices().save_to_disk) and call load_dataset.",
        )
    names = [
        _plain_name(file.get("filename") if isinstance(file, dict) else None, folder.name) for file in files
    ]
    return [
        FilePart(look_at(folder / name, f"{folder.name}/{name}"), split, alone=len(names) == 1)
        for name in names
    ]


def _description(path: Path, folder: str) -> dict[str, Any]:
    file = look_at(path, f"{folder}/{path.name}")
    with reading_errors(file.name), file.reading() as opened:
        try:
            found = json.loads(opened.read(_MOST_BYTES))
        except (ValueError, RecursionError):
            found = None
    if not isinstance(found, dict):
        raise _damaged(folder)
    return found


def _plain_name(name: object, folder: str) -> str:
    if not isinstance(name, str) or Path(name).name != name or name in ("", ".", ".."):
        raise _damaged(folder)
    return name


def _damaged(folder: str) -> UnreadableSource:
    return UnreadableSource(
        f"The description of the saved dataset {folder} is damaged.",
        "Save it again with save_to_disk, or name one of its Arrow files.",
    )

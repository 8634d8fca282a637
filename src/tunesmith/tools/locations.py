"""From what a caller names (`demo`, a path, a Hub id) to where it is. Paths outside the allowed roots are refused."""

from __future__ import annotations

import difflib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tunesmith import demo
from tunesmith.schemas.errors import InvalidArgument, ModelNotFound, SourceNotFound, UnsafePath

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")
_PATH_START = ("/", "./", "../", "~", "\\", "-")
_DATA_SUFFIXES = {".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet", ".txt", ".gz", ".arrow", ".xlsx"}


@dataclass(frozen=True)
class Location:
    """`path` is absolute and free of links; None for a Hub id."""

    kind: Literal["demo", "local", "hub"]
    path: str | None


def locate_dataset(source: str) -> Location:
    """Where the rows are.

    Raises:
        InvalidArgument: neither a path nor a Hub id.
        UnsafePath: outside the allowed roots.
        SourceNotFound: no such local file.
    """
    if source == "demo":
        return Location("demo", str(demo.dataset_path()))
    location = _locate(source, "source")
    if location.path is not None and not Path(location.path).exists():
        raise SourceNotFound(
            f"There is no file or folder {shorten(source)}.{_similar(Path(location.path))}",
            "Pass the path of a file or folder below the current or home folder, a Hub dataset id such as "
            "org/name, or demo.",
        )
    return location


def locate_model(name: str, parameter: str) -> Location:
    """Where the weights are. Raises as `locate_dataset`, with ModelNotFound for a missing folder."""
    if name == "demo":
        return Location("demo", str(demo.base_model_path()))
    location = _locate(name, parameter)
    if location.path is not None and not Path(location.path).is_dir():
        raise ModelNotFound(
            f"There is no model folder {shorten(name)}.{_similar(Path(location.path))}",
            "Pass a folder with config.json and safetensors weights, a Hub model id such as org/name, or demo.",
        )
    return location


def _locate(name: str, parameter: str) -> Location:
    if "\0" in name or not name.strip():
        raise InvalidArgument(f"{parameter} is empty or holds a NUL.", "Pass a path, a Hub id, or demo.")
    if "://" in name:
        raise InvalidArgument(
            f"{parameter} is a URL; only Hub ids and local paths are read.",
            "Download the file first and pass its path, or pass the Hub id (org/name) alone.",
        )
    path = _resolve(name)
    looks_like_path = name.startswith(_PATH_START) or Path(name).suffix.lower() in _DATA_SUFFIXES
    inside = is_allowed(path)
    if looks_like_path or (inside and path.exists()):
        if not inside:
            raise UnsafePath(
                f"{shorten(name)} lies outside the folders that may be read.",
                "Move it below the current or home folder, or have the person add its folder to TUNESMITH_ROOTS in "
                "the server's environment.",
            )
        return Location("local", str(path))
    if _HUB_ID.fullmatch(name) is None or ".." in name or "--" in name:
        raise InvalidArgument(
            f"{parameter} {shorten(name)} is neither an existing path nor a Hub id (name or org/name).",
            "Pass a path, a Hub id, or demo.",
        )
    return Location("hub", None)


def allowed_roots() -> list[Path]:
    """The folders that local data and models are read from: current, home, and those in $TUNESMITH_ROOTS."""
    named = os.environ.get("TUNESMITH_ROOTS", "").split(os.pathsep)
    roots = [Path.cwd(), Path.home(), *(Path(name).expanduser() for name in named if name)]
    # Some clients start servers in the file system's root; that must not open all of it.
    return [root for root in (root.resolve() for root in roots) if root != Path(root.anchor)]


def is_allowed(path: Path) -> bool:
    """Whether a resolved path lies below an allowed root."""
    return any(path.is_relative_to(root) for root in allowed_roots())


def shorten(text: str, limit: int = 120) -> str:
    """A caller's value as it may stand in a message."""
    printable = "".join(character if character.isprintable() else "�" for character in text)
    return f'"{printable}"' if len(printable) <= limit else f'"{printable[: limit - 1]}…"'


def _resolve(name: str) -> Path:
    try:
        return Path(name).expanduser().resolve()
    except (OSError, RuntimeError) as error:
        raise InvalidArgument(
            f"The path {shorten(name)} cannot be resolved.", "Pass another path."
        ) from error


def _similar(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir() or not is_allowed(folder):
        return ""
    try:
        near = difflib.get_close_matches(path.name, [entry.name for entry in os.scandir(folder)], n=3)
    except OSError:
        return ""
    return f" Near it: {', '.join(near)}." if near else ""

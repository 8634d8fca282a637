"""From what a caller names (`demo`, paths, a Hub id) to where it is. Paths outside the allowed roots are refused."""

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
_DATA_SUFFIXES = {
    *(
        ".csv",
        ".tsv",
        ".tab",
        ".psv",
        ".json",
        ".jsonl",
        ".ndjson",
        ".parquet",
        ".txt",
        ".md",
        ".arrow",
        ".xlsx",
    ),
    *(".gz", ".bz2", ".xz", ".zst", ".zip"),
}
_PATTERN = re.compile(r"[*?\[]")
_SEVERAL = re.compile(r"[,\n]")
MOST_PATHS = 100


@dataclass(frozen=True)
class Location:
    """`path` is absolute and free of links; None for a Hub id.

    The path of a pattern is that of the folder where it begins, with the pattern behind. Where `source` names several,
    `path` is None and they are in `paths`.
    """

    kind: Literal["demo", "local", "hub"]
    path: str | None
    paths: tuple[str, ...] = ()


def locate_dataset(source: str) -> Location:
    """Where the rows are: one file or folder, a pattern with * ? [ or **, or several of these, between commas or lines.

    Raises:
        InvalidArgument: neither a path nor a Hub id; or too many paths.
        UnsafePath: outside the allowed roots.
        SourceNotFound: no such local file, or no folder where the pattern begins.
    """
    if source == "demo":
        return Location("demo", str(demo.dataset_path()))
    names = [name.strip() for name in _SEVERAL.split(source)]
    if len(names) == 1 or "\0" in source or _exists(_resolve(source)):
        return _locate_data(source)
    named = [name for name in names if name]
    if not named or len(named) > MOST_PATHS:
        raise InvalidArgument(
            f"source names {len(named)} paths; it takes 1 to {MOST_PATHS}.",
            "Name the folder that holds the files, or a pattern such as data/*.jsonl.",
        )
    located = [_locate_data(name) for name in named]
    paths = tuple(location.path for location in located if location.path is not None)
    if len(paths) < len(located):
        raise InvalidArgument(
            f"source names several things, and not all of them are local paths: {shorten(source)}.",
            "Name paths only, or one Hub dataset id alone.",
        )
    return Location("local", None, paths) if len(paths) > 1 else located[0]


def _locate_data(source: str) -> Location:
    if (
        _PATTERN.search(source)
        and "://" not in source
        and "\0" not in source
        and not _exists(_resolve(source))
    ):
        return _locate_pattern(source)
    location = _locate(source, "source")
    if location.path is not None and not _exists(Path(location.path)):
        raise _no_such_source(source, Path(location.path))
    return location


def _locate_pattern(source: str) -> Location:
    """The resolved folder where the pattern begins, and the pattern. What it matches is looked up by the job."""
    parts = Path(source).parts
    fixed = next(at for at, part in enumerate(parts) if _PATTERN.search(part))
    if ".." in parts[fixed:]:
        raise InvalidArgument(
            f"The pattern {shorten(source)} goes up again behind its first * ? or [.",
            "Write it without `..` there.",
        )
    base = _resolve(str(Path(*parts[:fixed])) if fixed else ".")
    if not is_allowed(base):
        raise _outside(source)
    if not _is_folder(base):
        raise _no_such_source(source, base)
    return Location("local", str(Path(base, *parts[fixed:])))


def _no_such_source(source: str, path: Path) -> SourceNotFound:
    return SourceNotFound(
        f"There is no file or folder {shorten(source)}.{_similar(path)}",
        "Pass the path of a file or folder below the current or home folder, a pattern such as data/*.jsonl, a Hub "
        "dataset id such as org/name, or demo.",
    )


def _outside(name: str) -> UnsafePath:
    return UnsafePath(
        f"{shorten(name)} lies outside the folders that may be read.",
        "Move it below the current or home folder, or have the person add its folder to TUNESMITH_ROOTS in "
        "the server's environment.",
    )


def _exists(path: Path) -> bool:
    """Whether something is there; also where a folder above it does not let anybody look."""
    try:
        return path.exists()
    except OSError as error:
        return isinstance(error, PermissionError)


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError as error:
        return isinstance(error, PermissionError)


def locate_model(name: str, parameter: str) -> Location:
    """Where the weights are. Raises as `locate_dataset`, with ModelNotFound for a missing folder.

    A folder with a link that leads out of the allowed roots is UnsafePath: a chat template would be shown, a tokenizer
    file published.
    """
    if name == "demo":
        return Location("demo", str(demo.base_model_path()))
    location = _locate(name, parameter)
    if location.path is not None and not Path(location.path).is_dir():
        raise ModelNotFound(
            f"There is no model folder {shorten(name)}.{_similar(Path(location.path))}",
            "Pass a folder with config.json and safetensors weights, a Hub model id such as org/name, or demo.",
        )
    if location.path is not None:
        _refuse_links_out(Path(location.path), name)
    return location


def locate_file(name: str, parameter: str) -> Path:
    """A local file, free of links. Raises as `locate_dataset`."""
    if "\0" in name or "://" in name:
        raise InvalidArgument(f"{parameter} names no local file.", "Pass the path of a file.")
    path = _resolve(name)
    if not is_allowed(path):
        raise _outside(name)
    if not path.is_file():
        raise SourceNotFound(
            f"There is no file {shorten(name)}.{_similar(path)}",
            "Pass the path of a file below the current or home folder.",
        )
    return path


def _refuse_links_out(folder: Path, name: str) -> None:
    """Of a model's folder and the folders in it, which is as deep as anything is loaded from."""
    if not _exists(folder / "config.json"):
        return  # no model, which the job tells; it may be a home folder with all that there is
    for pattern in ("*", "*/*"):
        for entry in folder.glob(pattern):
            if entry.is_symlink() and not is_allowed(_resolve(str(entry))):
                raise UnsafePath(
                    f"{shorten(entry.name)} in the model folder {shorten(name)} is a link that leads outside the "
                    "folders that may be read.",
                    "Copy what it leads to into the folder, or have the person add that place to TUNESMITH_ROOTS in "
                    "the server's environment.",
                )


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
    if looks_like_path or (inside and _exists(path)):
        if not inside:
            raise _outside(name)
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
    except (OSError, RuntimeError, ValueError) as error:
        raise InvalidArgument(
            f"The path {shorten(name)} cannot be resolved.", "Pass another path."
        ) from error


def _similar(path: Path) -> str:
    folder = path.parent
    try:
        if not folder.is_dir() or not is_allowed(folder):
            return ""
        near = difflib.get_close_matches(path.name, [entry.name for entry in os.scandir(folder)], n=3)
    except OSError:
        return ""
    return f" Near it: {', '.join(near)}." if near else ""

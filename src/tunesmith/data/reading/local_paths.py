"""From the paths of a request to the files that they stand for: single files, folders and patterns."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from tunesmith.data.reading.kinds import suffix_of
from tunesmith.data.reading.local_file import LocalFile, look_at, reading_errors
from tunesmith.schemas.errors import InvalidArgument, SourceNotFound, UnsafePath

MOST_FILES = 10_000
MOST_ENTRIES = 100_000
"""Entries of folders that are looked at in search of files."""
DEEPEST = 12
"""Levels of folders below the named one."""

DATA_SUFFIXES = (".csv", ".tsv", ".tab", ".psv", ".json", ".jsonl", ".ndjson", ".parquet", ".arrow")
"""What a data file within a folder is called, perhaps with the suffix of a compression behind."""
TEXT_SUFFIXES = (".txt", ".text", ".md")
"""Read from a folder only where it has no data files."""

_DESCRIPTIONS = frozenset(
    {
        "dataset_info.json",
        "dataset_infos.json",
        "dataset_dict.json",
        "state.json",
        "metadata.json",
        "package.json",
    }
)
_MAGIC = re.compile(r"[*?\[]")
_SPLIT_OF_NAME = re.compile(r"(train|test|validation|valid|val|dev|eval)(?![a-z0-9])")
_SPLIT_SPELLINGS = {"valid": "validation", "val": "validation", "dev": "validation", "eval": "validation"}


@dataclass
class _Budget:
    """How much has been looked at; bounds the search of one request."""

    source: str
    seen: int = 0

    def entries_of(self, folder: Path) -> list[os.DirEntry[str]]:
        """What lies in a folder."""
        found: list[os.DirEntry[str]] = []
        with reading_errors(f"The folder {folder.name}"), os.scandir(folder) as entries:
            for entry in entries:
                self.seen += 1
                if self.seen > MOST_ENTRIES:
                    raise InvalidArgument(
                        f"{self.source} covers more than {MOST_ENTRIES:,} files and folders.",
                        "Name a narrower folder or pattern.",
                    )
                found.append(entry)
        return found


def files_of(paths: list[str], split: str, source: str) -> list[LocalFile]:
    """The files that absolute, resolved paths stand for, each once, in the order of the paths and then of names.

    A folder stands for the data files directly in it, or, if there are none, for those below it; where their names
    tell splits apart, for those of `split`. A path that does not exist and holds * ? or [ is a pattern; ** stands for
    any number of folders. Hidden files are left out unless named, and folders that are links are not entered.

    Raises:
        SourceNotFound: nothing is there, or nothing of this split.
        UnsafePath: a file is a link that leads out of the folder.
        InvalidArgument: the search finds too much.
        UnreadableSource: a folder may not be read.
    """
    budget = _Budget(source)
    found: dict[Path, str] = {}
    for path in map(Path, paths):
        with reading_errors(path.name):
            for file, name in _expand(path, split, budget):
                found.setdefault(file, name)
        if len(found) > MOST_FILES:
            raise InvalidArgument(
                f"{source} stands for more than {MOST_FILES:,} files.", "Name a narrower folder or pattern."
            )
    return [look_at(file, name) for file, name in found.items()]


def is_saved_dataset(folder: Path) -> bool:
    """Whether `datasets.save_to_disk` has written the folder."""
    return (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file()


def _expand(path: Path, split: str, budget: _Budget) -> list[tuple[Path, str]]:
    if path.is_dir():
        files = _folder_files(path, budget)
        return [(file, _name(file, path.parent)) for file in _of_split(files, path, split)]
    if path.exists() or path.is_symlink() or not _MAGIC.search(str(path)):
        return [(path, path.name)]
    fixed = next(at for at, part in enumerate(path.parts) if _MAGIC.search(part))
    base = Path(*path.parts[:fixed])
    pattern = "/".join(path.parts[fixed:])
    files = sorted(_matching(base, path.parts[fixed:], budget, DEEPEST))
    if not files:
        raise SourceNotFound(
            f"No file matches {pattern} in {base.name}.", "Check the pattern and the folder."
        )
    return [(_contained(file, base), _name(file, base)) for file in files]


def _folder_files(folder: Path, budget: _Budget) -> list[Path]:
    for deep in (False, True):
        files = sorted(_walk(folder, budget, DEEPEST if deep else 0))
        for suffixes in (DATA_SUFFIXES, TEXT_SUFFIXES):
            wanted = [
                file for file in files if suffix_of(file) in suffixes and file.name not in _DESCRIPTIONS
            ]
            if wanted:
                return [_contained(file, folder) for file in wanted]
    raise SourceNotFound(
        f"The folder {folder.name} holds no data files ({', '.join(DATA_SUFFIXES + TEXT_SUFFIXES)}).",
        "Name a folder with such files in it, or one file.",
    )


def _walk(folder: Path, budget: _Budget, levels: int) -> Iterator[Path]:
    for entry in budget.entries_of(folder):
        if entry.name.startswith("."):
            continue
        if not entry.is_dir(follow_symlinks=False):
            yield Path(entry.path)
        elif levels > 0:
            yield from _walk(Path(entry.path), budget, levels - 1)


def _matching(folder: Path, pattern: tuple[str, ...], budget: _Budget, levels: int) -> set[Path]:
    """The files below `folder` that the rest of the pattern matches."""
    wanted, rest = pattern[0], pattern[1:]
    found: set[Path] = set()
    if wanted == "**":
        found |= _matching(folder, rest or ("*",), budget, levels)
    for entry in budget.entries_of(folder):
        is_folder = entry.is_dir(follow_symlinks=False)
        if entry.name.startswith(".") and not wanted.startswith("."):
            continue
        if wanted == "**":
            if is_folder and levels > 0:
                found |= _matching(Path(entry.path), pattern, budget, levels - 1)
        elif fnmatchcase(entry.name, wanted):
            if rest and is_folder:
                found |= _matching(Path(entry.path), rest, budget, levels)
            elif not rest and not is_folder:
                found.add(Path(entry.path))
    return found


def _contained(file: Path, folder: Path) -> Path:
    """The file itself, where a link within the folder stands for it."""
    real = file.resolve()
    if not real.is_relative_to(folder.resolve()):
        raise UnsafePath(
            f"{_name(file, folder.parent)} is a link that leads out of the folder.",
            "Put the file itself into the folder, or call load_dataset with its real path.",
        )
    return real


def _of_split(files: list[Path], folder: Path, split: str) -> list[Path]:
    """Where names of files or of their folders tell splits apart, only those of the wanted split."""
    splits = {file: _split_of(file, folder) for file in files}
    if not any(splits.values()):
        return files
    wanted = [file for file, of in splits.items() if of == _SPLIT_SPELLINGS.get(split, split)]
    if not wanted:
        there = sorted({of for of in splits.values() if of})
        raise SourceNotFound(
            f"The folder {folder.name} holds no files of the split {split!r}, but of: {', '.join(there)}.",
            f"Call load_dataset again with split={there[0]!r}, or name one file.",
        )
    return wanted


def _split_of(file: Path, folder: Path) -> str | None:
    inside = (
        file.relative_to(folder.resolve()).parts if file.is_relative_to(folder.resolve()) else (file.name,)
    )
    for part in reversed(inside):
        found = _SPLIT_OF_NAME.match(part.lower())
        if found is not None:
            return _SPLIT_SPELLINGS.get(found[1], found[1])
    return None


def _name(file: Path, above: Path) -> str:
    return str(file.relative_to(above)) if file.is_relative_to(above) else file.name

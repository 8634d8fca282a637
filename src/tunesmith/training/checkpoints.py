"""Checkpoints that are there entirely or not at all.

    write the files into scratch/  ->  fsync them  ->  rename to checkpoints/step-00000123  ->  manifest.json

Only a folder whose manifest matches its files counts. Age is the step number, never a file's time, so that a clock
that jumps cannot make the wrong one look newest.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tunesmith.jobs.files import commit_folder, read_document, storage_errors, write_document
from tunesmith.jobs.paths import HandlePaths
from tunesmith.schemas.base import Document

KEPT = 2
_MANIFEST = "manifest.json"
_NAME = re.compile(r"step-(\d{8,})")
_LEFT_OUT = ("training_args.bin", "README.md")
"""Written by the Trainer, read by nobody: a pickle of the arguments, and a model card."""


class FileEntry(Document):
    """One file of a checkpoint."""

    size_bytes: int
    sha256: str


class Manifest(Document):
    """What a committed checkpoint consists of."""

    step: int
    attempt: int
    files: dict[str, FileEntry]


@dataclass(frozen=True)
class Checkpoint:
    """A committed checkpoint."""

    folder: Path
    step: int


def commit(made: Path, paths: HandlePaths, step: int, attempt: int) -> Checkpoint:
    """Commit the files in `made`, a folder on the same disk, and drop all but the two newest checkpoints.

    A checkpoint of this step that is committed already stays, and `made` is dropped.

    Raises:
        DiskFull, StorageFailed: no older checkpoint has been touched.
    """
    final = paths.checkpoints / f"step-{step:08d}"
    with storage_errors(final):
        paths.checkpoints.mkdir(exist_ok=True)
        if _is_complete(final):
            shutil.rmtree(made)
        else:
            shutil.rmtree(final, ignore_errors=True)  # an earlier attempt died between rename and manifest
            for name in _LEFT_OUT:
                (made / name).unlink(missing_ok=True)
            files = {entry.name: _entry(entry) for entry in sorted(made.iterdir()) if entry.is_file()}
            commit_folder(made, final)
            write_document(final / _MANIFEST, Manifest(step=step, attempt=attempt, files=files))
    _drop_old(paths, step)
    return Checkpoint(final, step)


def latest_committed(paths: HandlePaths) -> Checkpoint | None:
    """The newest checkpoint whose every file is as its manifest says, or None."""
    for checkpoint in _newest_first(paths):
        if _is_complete(checkpoint.folder, compare_content=True):
            return checkpoint
    return None


def _newest_first(paths: HandlePaths) -> list[Checkpoint]:
    if not paths.checkpoints.is_dir():
        return []
    named = [(entry, _NAME.fullmatch(entry.name)) for entry in paths.checkpoints.iterdir()]
    found = [Checkpoint(entry, int(match[1])) for entry, match in named if match]
    return sorted(found, key=lambda checkpoint: checkpoint.step, reverse=True)


def _is_complete(folder: Path, *, compare_content: bool = False) -> bool:
    manifest = read_document(folder / _MANIFEST, Manifest)
    if manifest is None:
        return False
    for name, entry in manifest.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != entry.size_bytes:
            return False
        if compare_content and _sha256(path) != entry.sha256:
            return False
    return True


def _drop_old(paths: HandlePaths, newest_step: int) -> None:
    older = [found for found in _newest_first(paths) if found.step < newest_step]
    complete = [found for found in older if _is_complete(found.folder)]
    for checkpoint in older:
        if checkpoint not in complete[: KEPT - 1]:
            shutil.rmtree(checkpoint.folder, ignore_errors=True)


def _entry(path: Path) -> FileEntry:
    return FileEntry(size_bytes=path.stat().st_size, sha256=_sha256(path))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

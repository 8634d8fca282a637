"""Checkpoints that are there entirely or not at all.

    write the files into scratch/  ->  fsync them  ->  rename to checkpoints/step-00000123  ->  manifest.json

Only a folder whose manifest matches its files counts, and it lists all of them: what loads a checkpoint picks files by
their names, and must find none that somebody else put there. Age is the step number, never a file's time, so that a
clock that jumps cannot make the wrong one look newest. What an attempt commits after a newer one has begun does not
count: the newer one has noted the step it went on from, and older attempts can only have got as far as that.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from tunesmith.jobs.files import commit_folder, make_folder, read_document, storage_errors, write_document
from tunesmith.jobs.paths import HandlePaths
from tunesmith.schemas.base import Document
from tunesmith.schemas.errors import NotReady

KEPT = 2
_MANIFEST = "manifest.json"
_NAME = re.compile(r"step-(\d{8,})")
_BEFORE_THE_FIRST = 0
"""The attempt that an adopted checkpoint counts as."""
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


class Beginning(Document):
    """What an attempt went on from: the step of a checkpoint, or 0."""

    from_step: int


@dataclass(frozen=True)
class Checkpoint:
    """A committed checkpoint."""

    folder: Path
    step: int


def begin(
    paths: HandlePaths, attempt: int, scratch: Path, continues: HandlePaths | None
) -> Checkpoint | None:
    """The checkpoint that an attempt goes on from; from now on older attempts commit nothing beyond it.

    A run that `continues` another begins with that one's newest, of which it makes itself a copy in `scratch`.

    Raises:
        NotReady: the other run has none any more.
        DiskFull, StorageFailed
    """
    newest = latest_committed(paths)
    if newest is None and continues is not None:
        newest = _adopt(continues, paths, scratch)
    # An attempt that steps down the ladder begins again, from a checkpoint of its own; that fences nobody else.
    if attempt > 1 and read_document(paths.attempt(attempt), Beginning) is None:
        write_document(paths.attempt(attempt), Beginning(from_step=0 if newest is None else newest.step))
    return newest


def commit(made: Path, paths: HandlePaths, step: int, attempt: int) -> Checkpoint:
    """Commit the files in `made`, a folder on the same disk, and drop all but the two newest checkpoints.

    A checkpoint of this step that counts already stays, and `made` is dropped.

    Raises:
        DiskFull, StorageFailed: no older checkpoint has been touched.
    """
    final = paths.checkpoints / f"step-{step:08d}"
    with storage_errors(final):
        make_folder(paths.checkpoints)
        if _counts(final, _beginnings(paths)):
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


def _adopt(source: HandlePaths, paths: HandlePaths, scratch: Path) -> Checkpoint:
    found = latest_committed(source)
    if found is None:
        raise NotReady(
            f"{source.handle} has no checkpoint to go on from any more.",
            "Call start_training without resume_run_id: it trains all steps from the beginning.",
        )
    made = scratch / "adopted"
    with storage_errors(made):
        shutil.copytree(found.folder, made, ignore=shutil.ignore_patterns(_MANIFEST))
    return commit(made, paths, found.step, _BEFORE_THE_FIRST)


def latest_committed(paths: HandlePaths) -> Checkpoint | None:
    """The newest checkpoint that counts and whose every file is as its manifest says, or None."""
    beginnings = _beginnings(paths)
    for checkpoint in _newest_first(paths):
        if _counts(checkpoint.folder, beginnings) and _is_complete(checkpoint.folder, compare_content=True):
            return checkpoint
    return None


def _beginnings(paths: HandlePaths) -> dict[int, int]:
    """From which step each attempt but the first went on, as far as they have begun."""
    found: dict[int, int] = {}
    attempt = 2
    while (path := paths.attempt(attempt)).exists():
        beginning = read_document(path, Beginning)
        if beginning is not None:
            found[attempt] = beginning.from_step
        attempt += 1
    return found


def _counts(folder: Path, beginnings: dict[int, int]) -> bool:
    """Whether its files are there and no attempt newer than its own has begun at an earlier step."""
    manifest = read_document(folder / _MANIFEST, Manifest)
    if manifest is None or not _is_complete(folder):
        return False
    return all(step >= manifest.step for attempt, step in beginnings.items() if attempt > manifest.attempt)


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
    if not _holds_only(folder, {_MANIFEST, *manifest.files}):
        return False
    for name, entry in manifest.files.items():
        path = folder / name
        if path.parent != folder or path.is_symlink() or not path.is_file():
            return False
        if path.stat().st_size != entry.size_bytes:
            return False
        if compare_content and _sha256(path) != entry.sha256:
            return False
    return True


def _holds_only(folder: Path, names: set[str]) -> bool:
    """Whether nothing lies in the folder that is not named, hidden files apart: those are left by file managers and
    network file systems, and nothing loads them."""
    try:
        return all(entry.name in names or entry.name.startswith(".") for entry in folder.iterdir())
    except OSError:
        return False


def _drop_old(paths: HandlePaths, newest_step: int) -> None:
    beginnings = _beginnings(paths)
    older = [found for found in _newest_first(paths) if found.step < newest_step]
    complete = [found for found in older if _counts(found.folder, beginnings)]
    for checkpoint in older:
        if checkpoint not in complete[: KEPT - 1]:
            shutil.rmtree(checkpoint.folder, ignore_errors=True)


def _entry(path: Path) -> FileEntry:
    return FileEntry(size_bytes=path.stat().st_size, sha256=_sha256(path))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Which files of a finished run are published: an explicit list of names, and nothing else.

Whatever is not named here stays: rows, optimizer state, checkpoints, journals, logs, pickles. Files are
opened once, by name within the already opened folder and without following links, and what is uploaded is
what was opened: swapping a file for a link afterwards changes nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tunesmith.publishing.local_paths import publishable_config, publishable_plan
from tunesmith.schemas.errors import InvalidArgument, UnsafePath
from tunesmith.schemas.plans import ModelKind
from tunesmith.schemas.publishing import PushedFile

WEIGHTS = re.compile(r"(adapter_)?model(-\d{5}-of-\d{5})?\.safetensors")
INDEXES = frozenset({"model.safetensors.index.json", "adapter_model.safetensors.index.json"})
CONFIGURATIONS = frozenset(
    {"adapter_config.json", "config.json", "generation_config.json", "tokenizer_config.json"}
)
TOKENIZER = frozenset(
    {
        "tokenizer.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja",
        "vocab.json", "vocab.txt", "vocab.bpe", "merges.txt", "tokenizer.model", "spiece.model",
        "sentencepiece.bpe.model",
    }
)  # fmt: skip
PLAN = "plan.json"
CARD = "README.md"
SMALL_FILE_BYTES = 256 * 1024 * 1024
"""Anything but weights is read into memory; a larger "tokenizer" is something else."""

_CHUNK_BYTES = 4 * 1024 * 1024
_OPEN_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # opening a pipe must not wait for its writer
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


@dataclass(frozen=True)
class Upload:
    """A file as it goes up: its content, or for weights a path that reads the file that was opened."""

    file: PushedFile
    content: bytes | str


def is_published(name: str) -> bool:
    """Whether a file of this name may leave the machine. The card is written anew, so it is never taken."""
    return WEIGHTS.fullmatch(name) is not None or name in INDEXES | CONFIGURATIONS | TOKENIZER | {PLAN}


@contextmanager
def chosen_files(folder: Path, card: str, base_model_kind: ModelKind) -> Generator[list[Upload]]:
    """The files to publish, by name; they stay open, and so unchanged in identity, within the `with` block.

    Raises:
        UnsafePath: the folder or a file with a published name is a link or not a regular file.
        InvalidArgument: there is no folder, it holds no weights, or a configuration in it is damaged.
    """
    with ExitStack() as open_files:
        where = _open_folder(folder, open_files)
        content = card.encode()
        uploads = [Upload(_described(CARD, content), content)]
        for name in sorted(filter(is_published, (entry.name for entry in folder.iterdir()))):
            file = _open_file(folder, name, where, open_files)
            if WEIGHTS.fullmatch(name):
                uploads.append(_weights(folder, name, file))
            else:
                content = _published_content(name, _small_content(name, file), base_model_kind)
                uploads.append(Upload(_described(name, content), content))
        if not any(WEIGHTS.fullmatch(upload.file.path) for upload in uploads):
            raise InvalidArgument(
                f"{folder.name} holds no weights (adapter_model.safetensors or model.safetensors).",
                "Wait until get_status says that the run has succeeded, then push again.",
            )
        yield sorted(uploads, key=lambda upload: upload.file.path)


def _open_folder(folder: Path, open_files: ExitStack) -> int | None:
    """The folder's descriptor, where the platform can open files relative to one."""
    if folder.is_symlink():
        raise UnsafePath(f"{folder.name} is a symbolic link.", "Publish the real folder of the run.")
    if not folder.is_dir():
        raise InvalidArgument(
            f"There is no folder {folder.name}.", "Ask list_runs for runs that have succeeded."
        )
    if os.open not in os.supports_dir_fd:
        return None
    try:
        where = os.open(folder, _OPEN_FLAGS | getattr(os, "O_DIRECTORY", 0))
    except OSError as error:
        raise UnsafePath(f"{folder.name} cannot be opened: {error.strerror}.", _LOOK) from None
    open_files.callback(os.close, where)
    return where


_LOOK = "Look at the run's folder: only regular files that the run wrote itself are published."


def _open_file(folder: Path, name: str, where: int | None, open_files: ExitStack) -> int:
    try:
        found = os.lstat(name, dir_fd=where) if where is not None else os.lstat(folder / name)
        if stat.S_ISLNK(found.st_mode):
            raise UnsafePath(f"{name} is a symbolic link; links are never followed.", _LOOK)
        if where is not None:
            file = os.open(name, _OPEN_FLAGS, dir_fd=where)
        else:
            file = os.open(folder / name, _OPEN_FLAGS)
    except OSError as error:
        raise UnsafePath(f"{name} cannot be opened as a regular file: {error.strerror}.", _LOOK) from None
    open_files.callback(os.close, file)
    opened = os.fstat(file)
    if not stat.S_ISREG(opened.st_mode) or not os.path.samestat(found, opened):
        raise UnsafePath(f"{name} is not a regular file, or changed while it was opened.", _LOOK)
    return file


def _weights(folder: Path, name: str, file: int) -> Upload:
    digest, size_bytes = hashlib.sha256(), 0
    while chunk := os.read(file, _CHUNK_BYTES):
        digest.update(chunk)
        size_bytes += len(chunk)
    # On Linux this path is the opened file itself, whatever happens to its name in the meantime.
    pinned = Path(f"/proc/self/fd/{file}")
    source = str(pinned) if pinned.exists() else str(folder / name)
    return Upload(PushedFile(path=name, size_bytes=size_bytes, sha256=digest.hexdigest()), source)


def _small_content(name: str, file: int) -> bytes:
    if os.fstat(file).st_size > SMALL_FILE_BYTES:
        raise UnsafePath(f"{name} has more than {SMALL_FILE_BYTES // 2**20} MiB.", _LOOK)
    parts: list[bytes] = []
    while chunk := os.read(file, _CHUNK_BYTES):
        parts.append(chunk)
    return b"".join(parts)


def _published_content(name: str, stored: bytes, base_model_kind: ModelKind) -> bytes:
    try:
        if name == PLAN:
            return publishable_plan(stored)
        if name in CONFIGURATIONS:
            return publishable_config(stored, base_model_kind)
    except ValueError:
        # The parser's own words would quote the file.
        raise InvalidArgument(f"{name} is not a JSON object.", "Train again and push that run.") from None
    return stored


def _described(name: str, content: bytes) -> PushedFile:
    return PushedFile(path=name, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())

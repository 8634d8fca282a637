"""Making a handle: its folder appears complete, in one rename, or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tunesmith.jobs.files import (
    commit_folder,
    fsync_folder,
    make_folder,
    read_json,
    storage_errors,
    write_bytes,
    write_document,
)
from tunesmith.jobs.journal import Journal
from tunesmith.jobs.paths import HandlePaths, Store
from tunesmith.jobs.queue import Queue
from tunesmith.schemas.base import Document
from tunesmith.schemas.errors import RequestKeyReused

Fill = Callable[[HandlePaths], None]


def create(store: Store, handle: str, request: Document, fill: Fill | None = None) -> bool:
    """Create a handle's folder with its request, and queue it for the host.

    `fill` may put more files into the folder before it appears. Returns False when the handle exists already with
    the very same request.

    Raises:
        RequestKeyReused: it exists with another request.
        DiskFull, StorageFailed: nothing was made.
    """
    created = _create_folder(store, handle, request, fill)
    # An earlier caller may have died between the two writes: then nothing has happened to the handle yet.
    if created or is_untouched(store.handle(handle)):
        Queue(store).add(handle)
    return created


def is_untouched(paths: HandlePaths) -> bool:
    """Whether nobody has begun to work at the handle; one whose journal is lost has the lease of who did."""
    return not paths.journal.exists() and not paths.lease.exists()


def next_attempt(paths: HandlePaths, newest: int) -> int:
    """The number of one more attempt, where `newest` is the last that the journal knows of: 0 when it is lost.

    Callers that ask at the same time get the same number, so that they ask for one attempt.
    """
    if newest == 0:
        newest = 1
        while paths.attempt(newest + 1).exists():
            newest += 1
    return newest + 1


def create_claimed(store: Store, handle: str, request: Document) -> None:
    """Create a handle that its maker is going to work on without the host. Raises as `create`."""

    def claim(paths: HandlePaths) -> None:
        Journal(paths.journal, attempt=1).append("claimed", durable=True, host_pid=None)

    _create_folder(store, handle, request, claim)


def create_finished(store: Store, handle: str, request: Document, result: Document, fill: Fill) -> bool:
    """Create the folder of a handle whose work is done already, such as the training rows of a golden set.

    Raises as `create`.
    """

    def fill_and_finish(paths: HandlePaths) -> None:
        fill(paths)
        write_document(paths.result, result)
        Journal(paths.journal, attempt=1).append("finished", durable=True, state="succeeded", error=None)

    return _create_folder(store, handle, request, fill_and_finish)


def requeue(store: Store, handle: str, attempt: int) -> None:
    """Queue one more attempt at a handle's work. Asking twice for the same attempt asks once.

    Raises:
        DiskFull, StorageFailed: nothing was asked.
    """
    paths = store.handle(handle)
    if not paths.attempt(attempt).exists():  # else the attempt may have noted in there where it went on from
        write_bytes(paths.attempt(attempt), b"")  # from here on nothing that an older attempt writes counts
    Journal(paths.journal, attempt).append("requeued", durable=True)
    Queue(store).add(handle)


def _create_folder(store: Store, handle: str, request: Document, fill: Fill | None) -> bool:
    final = store.handle(handle)
    if final.folder.exists():
        return _same_or_raise(final, request)
    with storage_errors(final.folder):
        _make_private_folder(store)
        make_folder(final.folder.parent)
        temporary = HandlePaths(Path(tempfile.mkdtemp(prefix=f".new-{handle}-", dir=final.folder.parent)))
        try:
            write_document(temporary.request, request)
            if fill is not None:
                fill(temporary)
            commit_folder(temporary.folder, final.folder)
        except FileExistsError:  # somebody else won a race for the same handle
            shutil.rmtree(temporary.folder, ignore_errors=True)
            return _same_or_raise(final, request)
        except BaseException:
            shutil.rmtree(temporary.folder, ignore_errors=True)
            raise
    return True


def _make_private_folder(store: Store) -> None:
    if not store.root.exists():
        store.root.mkdir(parents=True, mode=0o700)
        with suppress(OSError):
            fsync_folder(store.root.parent)


def _same_or_raise(paths: HandlePaths, request: Document) -> bool:
    stored, asked = read_json(paths.request), request.model_dump(mode="json")
    if isinstance(stored, dict) and {**stored, "created_at": None} == {**asked, "created_at": None}:
        return False
    raise RequestKeyReused(
        f"This request_key already made {paths.handle}, with other arguments.",
        f"Use another request_key, or ask get_status about {paths.handle}.",
    )

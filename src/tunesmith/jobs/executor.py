"""The local executor: hands work to this machine's background host."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field

from tunesmith.jobs import host, lease, submission
from tunesmith.jobs.lease import Liveness
from tunesmith.jobs.paths import Store
from tunesmith.jobs.queue import Queue
from tunesmith.jobs.stopping import request_stop
from tunesmith.jobs.waking import poke
from tunesmith.schemas.base import Document
from tunesmith.schemas.enums import Work
from tunesmith.schemas.errors import QueueFull, WorkerUnavailable
from tunesmith.schemas.handles import work_of

MOST_WAITING = 50
"""Trainings in a store's queue, those under way included: more than anybody means to have."""


@dataclass
class LocalExecutor:
    """Submits, resumes and stops work of one store."""

    store: Store
    _children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def submit(self, handle: str, request: Document, fill: submission.Fill | None = None) -> bool:
        """Create the handle and have the host do its work. False when it exists with the same request.

        Raises:
            RequestKeyReused: it exists with another request.
            QueueFull: too many trainings are waiting.
            DiskFull, StorageFailed, WorkerUnavailable: nothing was started.
        """
        if not self.store.handle(handle).folder.exists():
            self._check_queue(handle)
        created = submission.create(self.store, handle, request, fill)
        self.ensure_host()
        return created

    def submit_direct(self, handle: str, request: Document) -> None:
        """Create the handle and do its work in a process with *this* process's environment.

        For work that talks to the Hub: the token stands in the environment alone, and a host that was started earlier
        may have another one. Raises as `submit`.
        """
        submission.create_claimed(self.store, handle, request)
        self._reap()
        try:
            self._children.append(host.spawn(self.store, handle, 1))
        except OSError as error:
            shutil.rmtree(self.store.handle(handle).folder, ignore_errors=True)
            raise _unavailable("A job process", error) from error

    def resume(self, handle: str, attempt: int) -> None:
        """Have the host make one more attempt. Raises as `submit`."""
        self._check_queue(handle)
        submission.requeue(self.store, handle, attempt)
        self.ensure_host()

    def request_stop(self, handle: str, attempt: int, grace_s: float) -> None:
        """Ask an attempt to save and stop; the host ends it when it has not done so after `grace_s`.

        Raises:
            DiskFull, StorageFailed, WorkerUnavailable
        """
        request_stop(self.store.handle(handle), attempt, grace_s)
        Queue(self.store).add(
            handle
        )  # also work that was submitted directly: somebody has to look at the time
        self.ensure_host()

    def requeue_lost(self, handle: str) -> None:
        """Put queued work into the queue, where its maker died before it could, and see to it that a host serves it."""
        Queue(self.store).add(handle)
        self.ensure_host()

    def _check_queue(self, handle: str) -> None:
        waiting = [one for one in Queue(self.store).handles() if work_of(one) is Work.TRAIN]
        if work_of(handle) is Work.TRAIN and handle not in waiting and len(waiting) >= MOST_WAITING:
            raise QueueFull(
                f"{len(waiting)} trainings are running or waiting already, which is as many as a store takes.",
                'Call list_runs with query="queued" to see them, and stop_training to take one out; then call again.',
            )

    def ensure_host(self) -> None:
        """See to it that a host serves the store, and wake it.

        Raises:
            WorkerUnavailable: it could not be started.
        """
        self._reap()
        if poke(self.store) and lease.look(self.store.host_lease).liveness is Liveness.ALIVE:
            return
        if any(child.args[-1] == "host" for child in self._children if isinstance(child.args, list)):
            return  # on its way
        self._children.append(self._start_host())

    def _start_host(self) -> subprocess.Popen[bytes]:
        # The host outlives this environment, so it gets no token: what talks to the Hub is submitted directly.
        kept = {name: value for name, value in os.environ.items() if name not in _TOKENS}
        environment = {**kept, "TUNESMITH_HOME": str(self.store.root), **_SAFE_TO_FORK, **ALLOCATOR}
        try:
            self.store.host.mkdir(parents=True, exist_ok=True)
            with self.store.host_log.open("ab") as log:
                return subprocess.Popen(
                    [sys.executable, "-P", "-m", "tunesmith", "host"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self.store.root,
                    env=environment,
                    start_new_session=True,
                )
        except OSError as error:
            raise _unavailable("The background host", error) from error

    def _reap(self) -> None:
        self._children = [child for child in self._children if child.poll() is None]


def _unavailable(what: str, error: OSError) -> WorkerUnavailable:
    return WorkerUnavailable(
        f"{what} could not be started ({os.strerror(error.errno or 0)}).",
        "Run tunesmith doctor on that machine, then call again.",
    )


_TOKENS = {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUGGINGFACE_HUB_TOKEN"}

# Tokenizers' threads and the fork of job processes do not go together.
_SAFE_TO_FORK = {"TOKENIZERS_PARALLELISM": "false"}

# Of glibc. Huge pages make new memory cheap. Mapping each tensor by itself (MALLOC_MMAP_THRESHOLD_) would leave no
# holes, at half the speed: a training does so where memory is short.
ALLOCATOR = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}

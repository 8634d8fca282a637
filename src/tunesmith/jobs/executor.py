"""The local executor: hands work to this machine's background host."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field

from tunesmith.jobs import host, lease, submission
from tunesmith.jobs.files import storage_errors
from tunesmith.jobs.paths import Store
from tunesmith.schemas.base import Document
from tunesmith.schemas.errors import WorkerUnavailable


@dataclass
class LocalExecutor:
    """Submits, resumes and stops work of one store."""

    store: Store
    _children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def submit(self, handle: str, request: Document, fill: submission.Fill | None = None) -> bool:
        """Create the handle and have the host do its work. False when it exists with the same request.

        Raises:
            RequestKeyReused: it exists with another request.
            DiskFull, StorageFailed, WorkerUnavailable: nothing was started.
        """
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
        submission.requeue(self.store, handle, attempt)
        self.ensure_host()

    def request_stop(self, handle: str) -> None:
        """Ask the work to save and stop; it goes on until it has."""
        paths = self.store.handle(handle)
        with storage_errors(paths.stop):
            paths.stop.touch()
        self.ensure_host()

    def ensure_host(self) -> None:
        """See to it that a host serves the store, and wake it.

        Raises:
            WorkerUnavailable: it could not be started.
        """
        self._reap()
        if host.poke(self.store) and lease.holder(self.store.host_lease) is not None:
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

"""A server and its client in one: `python -m tests.support.chaos_server STORE SEED`.

It wants runs of the fake trainer, each by its own key, and asks again for what it does not know to be under way, as an
assistant does after each answer that never came. It keeps nothing between its lives. Two of them may be at it at once.
It ends when the file `enough` beside the store is there and every run that was asked for has an end.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

from tests.support.fake_trainer import FakeTraining
from tests.support.tracing import REPOSITORY
from tunesmith.jobs.executor import LocalExecutor
from tunesmith.jobs.paths import Store
from tunesmith.jobs.snapshot import Observer
from tunesmith.schemas.enums import RunState, Work
from tunesmith.schemas.handles import derived_handle

HOST_IDLE_S = 60.0
UNDER_WAY = 2
"""Runs that are wanted at a time: one to be trained, one to wait."""
_BETWEEN_LOOKS_S = 0.01


class FakeExecutor(LocalExecutor):
    """The real executor, but for the host that it starts."""

    def _start_host(self) -> subprocess.Popen[bytes]:
        self.store.host.mkdir(parents=True, exist_ok=True)
        with self.store.host_log.open("ab") as log:
            return subprocess.Popen(
                # The last word is how the executor knows its host.
                [
                    sys.executable,
                    "-m",
                    "tests.support.fake_trainer_host",
                    str(self.store.root),
                    str(HOST_IDLE_S),
                    "host",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=REPOSITORY,
                start_new_session=True,
            )


def enough(store: Store) -> Path:
    """While this file is missing, more runs are wanted."""
    return store.root.with_name(f"{store.root.name}.enough")


def wanted_run(seed: str, number: int) -> tuple[str, FakeTraining]:
    """The handle that belongs to a key, and what is asked for by it: the same from one life to the next."""
    draw = random.Random(f"{seed} {number}")
    request = FakeTraining(
        total_steps=draw.randint(40, 80), save_steps=5, step_s=draw.uniform(0.002, 0.005), weights_bytes=4096
    )
    return derived_handle(Work.TRAIN, "chaos", seed, str(number)), request


def serve(store: Store, seed: str) -> None:
    """Ask, look and ask again, until it is enough."""
    executor, observer = FakeExecutor(store), Observer(store)
    runs = (wanted_run(seed, number) for number in count(1))
    wanted: list[str] = []
    while True:
        while len(wanted) < UNDER_WAY:
            handle, request = next(runs)
            # What was asked for in an earlier life is seen through, be it enough or not.
            if enough(store).exists() and not store.handle(handle).folder.exists():
                break
            executor.submit(handle, request)  # in each life anew: whoever repeats a call gets the same run
            wanted.append(handle)
        if not wanted:
            return
        wanted = [handle for handle in wanted if look_after(executor, observer, handle)]
        time.sleep(_BETWEEN_LOOKS_S)


def look_after(executor: FakeExecutor, observer: Observer, handle: str) -> bool:
    """Do what a run needs by now, the way start_training and get_status do it; False when it has an end."""
    snapshot = observer.look(handle)
    if snapshot.state is RunState.INTERRUPTED:
        executor.resume(handle, snapshot.ledger.attempt + 1)
    elif snapshot.state is RunState.QUEUED:
        executor.requeue_lost(handle)
    elif snapshot.state.is_active:
        executor.ensure_host()
    return snapshot.state is RunState.INTERRUPTED or snapshot.state.is_active


if __name__ == "__main__":
    serve(Store(Path(sys.argv[1])), sys.argv[2])

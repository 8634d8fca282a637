"""Somebody who looks at all runs of a store all the time, and writes down what is told of them."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Any

from tests.support.chaos_promises import Sight
from tunesmith.jobs import clock, machine
from tunesmith.jobs.paths import Store
from tunesmith.jobs.snapshot import Observer
from tunesmith.schemas.enums import RunState, Work

_BETWEEN_SWEEPS_S = 0.01
_ENDING_S = 1.0
"""How long a process may need from giving its lease up to being gone."""
_SWEEPS_WITHOUT_FINISHED = 20

_Worker = tuple[str, int]


class Watch(threading.Thread):
    """Looks until `leave`. `sights` has what changed from one look to the next, for each run."""

    def __init__(self, store: Store) -> None:
        super().__init__(name="watch", daemon=True)
        self.store = store
        self.looks = 0
        self.longest_gone_s = 0.0
        """The longest that a run was called running after its process had been seen gone."""
        self.sights: dict[str, list[Sight]] = defaultdict(list)
        self.twice_at_once: list[str] = []
        self._workers: dict[_Worker, dict[str, Any]] = {}
        self._gone: dict[_Worker, float] = {}
        self._over = threading.Event()
        self._kept = Observer(store)

    def run(self) -> None:
        sweep = 0
        while not self._over.wait(_BETWEEN_SWEEPS_S):
            sweep += 1
            self.sweep(finished_too=sweep % _SWEEPS_WITHOUT_FINISHED == 0)

    def leave(self) -> None:
        """End, after a last look at everything."""
        self._over.set()
        self.join()
        self.sweep(finished_too=True)

    def sweep(self, finished_too: bool) -> None:
        """Look at each run twice: as somebody who has watched it, and as somebody who has never seen it."""
        for handle in self.store.handles(Work.TRAIN):
            seen = self.sights[handle]
            if finished_too or not seen or seen[-1].state is not RunState.SUCCEEDED:
                self._look(self._kept, handle)
                self._look(Observer(self.store), handle)

    def _look(self, observer: Observer, handle: str) -> None:
        self.looks += 1
        began_s = clock.boot_s()
        snapshot = observer.look(handle)
        ledger, state = snapshot.ledger, snapshot.state
        attempt = ledger.attempt
        if ledger.worker is not None and (handle, attempt) not in self._workers:
            self._meet(handle, attempt, ledger.worker)
        gone_s = None
        if (handle, attempt) in self._gone:
            gone_s = began_s - self._gone[handle, attempt]
        elif (handle, attempt) in self._workers and not self._is_alive((handle, attempt)):
            self._gone[handle, attempt] = clock.boot_s()
        if state is RunState.RUNNING and gone_s is not None:
            self.longest_gone_s = max(self.longest_gone_s, gone_s)
        sight = Sight(
            state,
            attempt,
            step=ledger.progress.get("step", 0),
            checkpoint_step=ledger.checkpoint_step or 0,
            gone_s=gone_s if state is RunState.RUNNING else None,
            lives_on=state is RunState.INTERRUPTED and self._lives_on((handle, attempt)),
        )
        if not self.sights[handle] or self.sights[handle][-1] != sight:
            self.sights[handle].append(sight)

    def _meet(self, handle: str, attempt: int, worker: dict[str, Any]) -> None:
        """A process that was not known yet: those of the run's other attempts have to be gone."""
        self._workers[handle, attempt] = worker
        for other in [key for key in self._workers if key[0] == handle and key[1] != attempt]:
            if self._lives_on(other) and self._is_alive((handle, attempt)):
                self.twice_at_once.append(f"{handle}: attempts {other[1]} and {attempt} were at work at once")

    def _is_alive(self, key: _Worker) -> bool:
        worker = self._workers[key]
        return bool(machine.birth(worker["pid"]) == worker["birth"])

    def _lives_on(self, key: _Worker) -> bool:
        """Whether the process is alive, and not just ending."""
        deadline = clock.boot_s() + _ENDING_S
        while key in self._workers and self._is_alive(key):
            if clock.boot_s() > deadline:
                return True
            self._over.wait(0.01)
        return False

"""Chaos on the demo model: a client that talks to `tunesmith serve` and calls again whenever it gets no answer."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from tests.support.chaos_lane import Lane, plan_kills
from tests.support.server import Talk, talk_to
from tests.support.waiting import is_alive, wait_until
from tunesmith.jobs.paths import HandlePaths, Store
from tunesmith.schemas.enums import Work
from tunesmith.schemas.handles import derived_handle

STEPS = 200
_WEIGHTS = "adapter_model.safetensors"
_CALL_S = 60.0
_END_S = 300.0


@dataclass
class RealService:
    """A client in a thread of its own, with a server that is started anew whenever it was killed."""

    store: Store
    run_s: float = 8.0
    tells_each_step: bool = False
    _plan_id: str = ""
    _whole: str = ""
    """The run that nothing has disturbed."""
    _asked: int = 0
    _deaths: int = 0
    _enough: threading.Event = field(default_factory=threading.Event)
    _failure: BaseException | None = None
    _client: threading.Thread | None = None

    def tend(self) -> None:
        """The client starts servers by itself; at first, there is the undisturbed run to be made."""
        if self._client is None:
            anyio.run(self._prepare)
            self._client = threading.Thread(target=anyio.run, args=(self._ask_for_runs,), daemon=True)
            self._client.start()
        if self._failure is not None:
            raise self._failure

    def kill_server(self, _draw: random.Random) -> bool:
        found = _servers_of(self.store)
        for pid in found:
            self._deaths += 1
            os.kill(pid, signal.SIGKILL)
            wait_until(partial(is_alive, pid), lambda alive: not alive)
        return bool(found)

    def finish(self) -> None:
        self._enough.set()
        assert self._client is not None
        self._client.join(_END_S)
        self.tend()
        if self._client.is_alive():
            raise TimeoutError(f"run {self._asked} has no end after {_END_S:.0f} s")

    def close(self) -> None:
        for pid in _servers_of(self.store):
            os.kill(pid, signal.SIGKILL)

    def wanted(self) -> set[str]:
        keys = range(1, self._asked + 1)
        return {self._whole} | {derived_handle(Work.TRAIN, self._plan_id, _key(number)) for number in keys}

    def history(self, paths: HandlePaths) -> tuple[int, bool]:
        whole = self.store.handle(self._whole).adapter / _WEIGHTS
        file = paths.adapter / _WEIGHTS
        return STEPS, file.is_file() and file.read_bytes() == whole.read_bytes()

    async def _prepare(self) -> None:
        async with self._talk() as talk:
            dataset = await talk("load_dataset", source="demo", max_rows=160)
            golden = await talk("build_golden_set", dataset_id=dataset["dataset_id"], size=24)
            plan = await talk(
                "configure_lora",
                base_model="demo",
                max_steps=STEPS,
                dataset_id=golden["train_dataset_id"],
                golden_set_id=golden["golden_set_id"],
            )
            self._plan_id = plan["plan_id"]
            self._whole = (await talk("start_training", plan_id=self._plan_id))["run_id"]
            assert (await talk.ended(self._whole))["state"] == "succeeded"

    async def _ask_for_runs(self) -> None:
        while not self._enough.is_set():
            self._asked += 1
            await self._insist(self._see_through)

    async def _insist(self, work: Callable[[Talk], Coroutine[Any, Any, None]]) -> None:
        """Do something with a server, and with the next one if that was killed."""
        while self._failure is None:
            deaths = self._deaths
            try:
                async with self._talk() as talk:
                    await work(talk)
                return
            except Exception as failure:  # noqa: BLE001 - however it shows that a server was killed
                if self._deaths == deaths:
                    self._failure = failure

    async def _see_through(self, talk: Talk) -> None:
        with anyio.fail_after(_END_S):
            answer = await talk("start_training", plan_id=self._plan_id, request_key=_key(self._asked))
            run_id = answer["run_id"]
            while True:
                with anyio.fail_after(_CALL_S):
                    status = await talk("get_status", run_id=run_id, wait_s=2)
                if status["state"] == "succeeded":
                    return
                assert status["state"] not in ("failed", "stopped"), status
                if status["state"] == "interrupted":
                    await talk("start_training", plan_id=self._plan_id, resume_run_id=run_id)

    def _talk(self) -> Any:
        # Sums depend on how many threads make them.
        return talk_to(self.store.root, OMP_NUM_THREADS="1", TUNESMITH_HOST_IDLE_S="60")


def real_lanes(folder: Path, kills: int, seed: int) -> list[Lane]:
    """One lane: a training takes all there is."""
    store = Store(folder / "store")
    draw = random.Random(seed)
    return [Lane(store, RealService(store), plan_kills(kills, draw), draw)]


def _key(number: int) -> str:
    return f"chaos {number}"


def _servers_of(store: Store) -> list[int]:
    """The processes that are `tunesmith serve` over the store."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            command, environment = ((entry / name).read_bytes() for name in ("cmdline", "environ"))
        except OSError:
            continue
        if b"serve" in command.split(b"\0") and f"TUNESMITH_HOME={store.root}\0".encode() in environment:
            found.append(int(entry.name))
    return found

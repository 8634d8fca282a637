"""Does anything get lost when job, host and servers are killed at random moments?

    python -m benchmarks.chaos --kills 200 [--seed 0]     many short runs of the fake trainer
    python -m benchmarks.chaos --real [--kills 20]        the demo model, `tunesmith serve`, real hosts

Prints counts, and each promise with what broke it. Exits with 1 when one is broken. The seed decides which process is
killed at which kind of moment; what that meets depends on the machine. Wanted: no violation.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from tests.conftest import end_processes
from tests.support.chaos_lane import KINDS, Lane, plan_kills
from tests.support.chaos_promises import Violations
from tests.support.chaos_server import enough, wanted_run
from tests.support.fake_trainer import FakeTraining
from tests.support.fake_trainer_runs import FakeRun
from tests.support.left_behind import open_descriptors, processes_naming
from tests.support.tracing import REPOSITORY
from tests.support.waiting import is_alive, wait_until
from tunesmith.jobs import lease
from tunesmith.jobs.paths import HandlePaths, Store

LANES = 4
"""Stores at a time: while one waits out a host that died between claiming and starting, the others go on."""
_END_S = 150.0


@dataclass
class Report:
    """What came of all lanes."""

    lanes: Sequence[Lane]
    violations: Violations
    seconds: float

    def kills(self) -> Counter[str]:
        return Counter(kill.kind for lane in self.lanes for kill in lane.kills)

    def show(self) -> None:
        """Print the counts, then each promise."""
        runs = [run for lane in self.lanes for run in lane.runs]
        started = [e["attempt"] for run in runs for e in run.events if e["event"] == "started"]
        kills = self.kills()
        in_commit = sum(kill.in_commit for lane in self.lanes for kill in lane.kills)
        kinds = ", ".join(f"{kind} {kills[kind]}" for kind in KINDS)
        print(f"kills {kills.total()}: {kinds}; {in_commit} of them while a checkpoint was made")
        print(f"runs {len(runs)}, attempts {len(started)}, resumes {sum(number > 1 for number in started)}")
        looks = sum(lane.watch.looks for lane in self.lanes)
        gone_ms = 1e3 * max(lane.watch.longest_gone_s for lane in self.lanes)
        print(f"looks {looks:,}; called running at most {gone_ms:.0f} ms after the process was gone")
        for promise, found in self.violations.of().items():
            print(f"{promise}: {len(found)}")
            for sentence in found:
                print(f"    {sentence}")
        print(f"violations {self.violations.total}, in {self.seconds:.0f} s")


@dataclass
class FakeService:
    """Servers of fake trainings over one store, restarted whenever they were killed."""

    store: Store
    seed: str
    servers: int
    run_s: float = 0.5
    tells_each_step: bool = True
    _servers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def tend(self) -> None:
        for server in self._servers:
            if server.poll() not in (None, -9):
                raise RuntimeError(f"a server ended by itself, with status {server.returncode}")
        self._servers = [server for server in self._servers if server.returncode is None]
        while len(self._servers) < self.servers:
            self._servers.append(self._start())

    def kill_server(self, draw: random.Random) -> bool:
        server = draw.choice(self._servers)
        server.kill()
        server.wait()
        return True

    def finish(self) -> None:
        self.tend()
        enough(self.store).touch()
        for server in self._servers:
            status = server.wait(_END_S)
            if status != 0:
                raise RuntimeError(f"a server ended with status {status}")

    def close(self) -> None:
        for server in self._servers:
            server.kill()
            server.wait()

    def wanted(self) -> set[str]:
        return set(self._requests())

    def history(self, paths: HandlePaths) -> tuple[int, bool]:
        request = self._requests().get(paths.handle)
        if request is None:
            return 0, True  # nobody asked for it, which is told elsewhere
        return request.total_steps, FakeRun(self.store, paths.handle, request).adapter_is_exact()

    def _requests(self) -> dict[str, FakeTraining]:
        """What was asked for: one number after the other, as far as the servers have come."""
        found: dict[str, FakeTraining] = {}
        for number in count(1):
            handle, request = wanted_run(self.seed, number)
            if not self.store.handle(handle).folder.exists():
                break
            found[handle] = request
        return found

    def _start(self) -> subprocess.Popen[bytes]:
        with self.store.root.with_suffix(".log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.support.chaos_server", str(self.store.root), self.seed],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=REPOSITORY,
                env={
                    **os.environ,
                    "TUNESMITH_HOME": str(self.store.root),
                },  # tells whose descendants there are
                start_new_session=True,
            )


def fake_lanes(folder: Path, kills: int, seed: int, lanes: int) -> list[Lane]:
    """Lanes that share the kills; every other one has two servers that race."""
    made = []
    for number in range(lanes):
        store = Store(folder / f"store-{number}")
        draw = random.Random(f"{seed} {number}")
        service = FakeService(store, f"{seed} {number}", servers=1 + number % 2)
        made.append(Lane(store, service, plan_kills(kills // lanes + (number < kills % lanes), draw), draw))
    return made


def unleash(make: Callable[[Path], list[Lane]], grace_s: float = 10.0) -> Report:
    """Have all lanes do their work at once, end what serves them, and see what is left after `grace_s`."""
    began = time.monotonic()
    before = open_descriptors()
    with tempfile.TemporaryDirectory(prefix="tunesmith-chaos-") as name:
        lanes = make(Path(name))
        threads = [lane.start() for lane in lanes]
        for thread in threads:
            thread.join()
        violations = Violations()
        for lane in lanes:
            violations.add(lane.violations)
            lane.service.close()
            _dismiss(lane.store)
        violations.left_behind += _left(Path(name), grace_s)
        for lane in lanes:
            end_processes(lane.store)
    violations.left_behind += [f"a descriptor: {told}" for told in sorted(open_descriptors() - before)]
    return Report(lanes, violations, time.monotonic() - began)


def _dismiss(store: Store) -> None:
    """Have the store's host leave, as it does by itself when it has been idle for long."""
    pid = lease.holder(store.host_lease)
    if pid is not None:
        os.kill(pid, 15)
        wait_until(lambda: not is_alive(pid))


def _left(folder: Path, grace_s: float) -> list[str]:
    try:
        wait_until(lambda: processes_naming(folder), lambda found: not found, within_s=grace_s)
    except AssertionError:
        return [f"a process: {command}" for command in processes_naming(folder)]
    return []


def main() -> None:
    """Kill, print, and tell by the exit status whether every promise was kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos")
    parser.add_argument("--kills", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--real", action="store_true", help="the demo model instead of the fake trainer")
    given = parser.parse_args()
    sys.setswitchinterval(0.001)  # moments are short, and several threads watch for them
    if given.real:
        from benchmarks.chaos_real import real_lanes

        report = unleash(lambda folder: real_lanes(folder, given.kills or 20, given.seed))
    else:
        report = unleash(lambda folder: fake_lanes(folder, given.kills or 200, given.seed, LANES))
    report.show()
    sys.exit(1 if report.violations.total else 0)


if __name__ == "__main__":
    main()

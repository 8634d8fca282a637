"""How many threads a training on a processor computes with: measured, because a neighbour may want the cores too.

Two threads that meet after every operation are as slow as the slower one. Beside a busy process one thread has been
seen to train several times as fast as two.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable

import torch

from tunesmith.jobs import clock

_ROUNDS = 7
_ROUND_S = 0.02
_CLEARLY_FASTER = 1.1
_WINDOW_S = 2.0
_WINDOW_STEPS = 3
_SLOW = 0.6
_LOOKED_AT_AGAIN_S, _AT_LAST_S = 15.0, 240.0
_WIDEST_LAYER = 1024
"""Wider ones gain as much from threads, and take seconds to measure."""


class Threads:
    """Sets the number of threads of a training, and sets it anew when a neighbour comes or goes.

    `hidden_size` and `tokens` are those of a forward pass. All numbers are at most what torch may use when this is
    made. With an accelerator, or one thread allowed, nothing is measured and nothing changes.
    """

    def __init__(self, hidden_size: int, tokens: int) -> None:
        self._pass = hidden_size, tokens
        self._allowed = torch.get_num_threads()
        self._measures = self._allowed > 1 and not torch.cuda.is_available()
        self._seconds = self._usual = 0.0
        self._tokens = self._steps = 0
        self._looked_at, self._since, self._patience_s = True, clock.boot_s(), _LOOKED_AT_AGAIN_S

    def choose(self) -> None:
        """Take the fastest number now. The longer it stays the same, the longer nobody looks."""
        before = torch.get_num_threads()
        torch.set_num_threads(self._allowed)
        torch.set_num_threads(choose_threads(*self._pass))
        unchanged = torch.get_num_threads() == before
        self._patience_s = min(2 * self._patience_s, _AT_LAST_S) if unchanged else _LOOKED_AT_AGAIN_S
        self._begin(looked_at=True)

    def keep(self, threads: int) -> None:
        """Go on with the number that an earlier attempt had, where the machine has as many cores."""
        torch.set_num_threads(usable_threads(threads))
        self._begin(looked_at=False)

    def release(self) -> None:
        """Let torch use all that it might before: another training of this process begins with them."""
        torch.set_num_threads(self._allowed)

    def step_took(self, seconds: float, tokens: int) -> None:
        """Hear of a step; steps that have become much slower, and cores that may have come free, are looked into."""
        if not self._measures:
            return
        self._seconds += seconds
        self._tokens += tokens
        self._steps += 1
        if self._seconds < _WINDOW_S or self._steps < _WINDOW_STEPS:
            return
        speed = self._tokens / self._seconds
        self._seconds = 0.0
        self._tokens = self._steps = 0
        doubtful = torch.get_num_threads() < self._allowed or not self._looked_at
        if speed < _SLOW * self._usual or (doubtful and clock.boot_s() - self._since > self._patience_s):
            self.choose()
        self._usual = max(self._usual, speed)

    def _begin(self, looked_at: bool) -> None:
        self._looked_at, self._since, self._usual = looked_at, clock.boot_s(), 0.0


def choose_threads(hidden_size: int, tokens: int) -> int:
    """The fastest number for a layer of this width over so many tokens: all that torch may use now, half of them, and
    so on down to one.

    Takes a fifth of a second or two for each of them on a processor; nothing is measured where an accelerator trains,
    or only one thread is allowed. The number of threads is left as it was.
    """
    allowed = torch.get_num_threads()
    if torch.cuda.is_available() or allowed == 1:
        return allowed
    candidates = [allowed]
    while candidates[-1] > 1:
        candidates.append(candidates[-1] // 2)
    speeds = _speeds(candidates, _layer(min(hidden_size, _WIDEST_LAYER), tokens))
    torch.set_num_threads(allowed)
    chosen = candidates[0]
    for fewer in candidates[1:]:  # a quiet machine's noise must not cost it half of its cores
        if speeds[fewer] > _CLEARLY_FASTER * speeds[chosen]:
            chosen = fewer
    return chosen


def usable_threads(wanted: int) -> int:
    """As many threads as `wanted`, where the machine has cores for them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(wanted, max(cores, torch.get_num_threads()))


def _speeds(candidates: list[int], work: Callable[[], object]) -> dict[int, float]:
    """Work done a second with each number of threads, in turns, so that a neighbour's moods meet all of them, and the
    median of several turns, so that a short one counts for nothing."""
    found: dict[int, list[float]] = {threads: [] for threads in candidates}
    for _ in range(_ROUNDS):
        for threads, speeds in found.items():
            torch.set_num_threads(threads)
            work()  # wakes them up
            done, began = 0, clock.boot_s()
            while (spent := clock.boot_s() - began) < _ROUND_S or not done:
                work()
                done += 1
            speeds.append(done / max(spent, 1e-9))
    return {threads: statistics.median(speeds) for threads, speeds in found.items()}


def _layer(hidden_size: int, tokens: int) -> Callable[[], object]:
    states = torch.ones(tokens, hidden_size)
    matrix = torch.full((hidden_size, hidden_size), 1 / hidden_size)

    def work() -> torch.Tensor:
        with torch.no_grad():
            return torch.nn.functional.gelu(states @ matrix) + states

    return work

"""How many threads a training on a processor computes with: measured, because a neighbour may want the cores too.

Two threads that meet after every operation are as slow as the slower one. Beside a busy process one thread has been
seen to train faster than two.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import torch

from tunesmith.jobs import clock

_ROUNDS = 5
_ROUND_S = 0.02
_TOKENS = 512
_CLEARLY_FASTER = 1.05


def choose_threads(hidden_size: int) -> int:
    """The fastest number for a layer of this width: all that torch may use now, half of them, and so on down to one.

    Takes about a tenth of a second for each of them on a processor; nothing is measured where an accelerator trains,
    or only one thread is allowed. The number of threads is left as it was.
    """
    allowed = torch.get_num_threads()
    if torch.cuda.is_available() or allowed == 1:
        return allowed
    candidates = [allowed]
    while candidates[-1] > 1:
        candidates.append(candidates[-1] // 2)
    speeds = _speeds(candidates, _layer(hidden_size))
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
    """Work done a second with each number of threads, in turns, so that a neighbour's moods meet all of them."""
    done = dict.fromkeys(candidates, 0)
    spent = dict.fromkeys(candidates, 0.0)
    for _ in range(_ROUNDS):
        for threads in candidates:
            torch.set_num_threads(threads)
            work()  # wakes them up
            began = clock.boot_s()
            while clock.boot_s() - began < _ROUND_S:
                work()
                done[threads] += 1
            spent[threads] += clock.boot_s() - began
    return {threads: done[threads] / spent[threads] for threads in candidates}


def _layer(hidden_size: int) -> Callable[[], object]:
    states = torch.ones(_TOKENS, hidden_size)
    matrix = torch.full((hidden_size, hidden_size), 1 / hidden_size)

    def work() -> torch.Tensor:
        with torch.no_grad():
            return torch.nn.functional.gelu(states @ matrix) + states

    return work

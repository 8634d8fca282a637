"""Tasks in several processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest

from tests.support.waiting import is_alive, wait_until
from tunesmith.data.parallel import Tell, WorkerError, ordered_map
from tunesmith.jobs.context import Stopped
from tunesmith.schemas.errors import NoRows, OutOfMemory


def square(task: int, tell: Tell) -> tuple[int, int]:
    tell(0.5)
    return task * task, os.getpid()


def fail_on_three(task: int, tell: Tell) -> int:
    if task == 3:
        raise NoRows("three", "Call again.")
    return task


def blunder(task: int, tell: Tell) -> int:
    raise KeyError("nobody foresaw this")


def truncated(task: int, tell: Tell) -> int:
    raise EOFError("a file that ends too early")


def die(task: int, tell: Tell) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return task


def ignore(done: float) -> None:
    pass


@pytest.mark.parametrize("workers", [1, 3])
def test_results_come_in_the_order_of_the_tasks(workers: int) -> None:
    squares = [result for result, _ in ordered_map(square, range(40), workers, ignore)]
    assert squares == [number * number for number in range(40)]


def test_several_workers_are_other_processes_and_one_is_this_one() -> None:
    assert {pid for _, pid in ordered_map(square, range(4), 1, ignore)} == {os.getpid()}
    assert os.getpid() not in {pid for _, pid in ordered_map(square, range(40), 2, ignore)}


@pytest.mark.parametrize("workers", [1, 2])
def test_progress_counts_tasks_and_never_passes_their_number(workers: int) -> None:
    told: list[float] = []
    list(ordered_map(square, range(20), workers, told.append))
    assert told
    assert all(0 <= done <= 20 for done in told)
    assert told[-1] > told[0]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_anticipated_error_of_a_task_reaches_the_caller_as_it_is(workers: int) -> None:
    results = ordered_map(fail_on_three, range(10), workers, ignore)
    with pytest.raises(NoRows) as told:
        list(results)
    assert (told.value.message, told.value.recovery) == ("three", "Call again.")


def test_a_bug_in_a_task_reaches_the_caller_with_its_traceback() -> None:
    with pytest.raises(WorkerError, match="nobody foresaw this"):
        list(ordered_map(blunder, range(4), 2, ignore))


def test_an_end_of_file_within_a_task_is_not_taken_for_the_end_of_the_parent() -> None:
    with pytest.raises(WorkerError, match="a file that ends too early"):
        list(ordered_map(truncated, range(4), 2, ignore))


def test_a_killed_worker_is_told_as_lack_of_memory() -> None:
    with pytest.raises(OutOfMemory, match="memory runs out"):
        list(ordered_map(die, range(4), 2, ignore))


def test_what_the_beat_raises_ends_the_workers() -> None:
    def stop(done: float) -> None:
        if done >= 5:
            raise Stopped

    with pytest.raises(Stopped):
        list(ordered_map(square, range(10_000), 2, stop))
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.fixture
def doomed() -> Iterator[subprocess.Popen[str]]:
    program = textwrap.dedent("""
        import os, time
        from tunesmith.data.parallel import ordered_map

        def work(task, tell):
            os.write(1, f"{os.getpid()}\\n".encode())
            for _ in range(600):
                time.sleep(0.1)
                tell(0.1)

        list(ordered_map(work, [1, 2], 2, lambda done: None))
    """)
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.wait()


def test_workers_do_not_outlive_a_killed_parent(doomed: subprocess.Popen[str]) -> None:
    assert doomed.stdout is not None
    workers = [int(doomed.stdout.readline()) for _ in range(2)]
    doomed.kill()
    doomed.wait()
    wait_until(lambda: not any(is_alive(pid) for pid in workers))

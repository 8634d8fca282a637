"""What a job process is before its work begins."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from tunesmith.schemas.enums import Work

LIMITS = textwrap.dedent("""
    import resource, sys
    from tunesmith.schemas.enums import Work
    from tunesmith.worker.entry import _load

    _load(Work(sys.argv[1]))
    data, core = (resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_DATA, resource.RLIMIT_CORE))
    print(data != resource.RLIM_INFINITY, core)
""")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is bounded on Linux only")
@pytest.mark.parametrize("work", [Work.LOAD_DATASET, Work.CLEAN_DATASET])
def test_a_process_that_reads_foreign_data_is_bounded_in_memory_and_leaves_no_core(work: Work) -> None:
    told = subprocess.run(
        [sys.executable, "-c", LIMITS, work.value], capture_output=True, text=True, check=True
    ).stdout
    assert told.split() == ["True", "0"]


HANGING = textwrap.dedent("""
    import threading
    from tunesmith.worker import entry

    def attempt(*_):
        threading.Thread(target=threading.Event().wait, name="tracker-wandb").start()
        return 3

    entry.run_attempt = attempt
    entry.run_job("store", "run-0123456789abcdef", 1)
""")


def test_a_process_does_not_wait_for_a_tracker_that_hangs() -> None:
    assert subprocess.run([sys.executable, "-c", HANGING], check=False, timeout=30).returncode == 3

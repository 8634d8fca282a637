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

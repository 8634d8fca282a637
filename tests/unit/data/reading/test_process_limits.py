from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import resource
from pathlib import Path
from tunesmith.data.reading.limits import limit_process
from tunesmith.data.reading.local_file import reading_errors
from tunesmith.schemas.errors import OutOfMemory
import pyarrow as pa

limit_process(200_000_000)
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
for take in (lambda: bytearray(400_000_000), lambda: pa.allocate_buffer(400_000_000)):
    try:
        with reading_errors("big.json"):
            take()
    except OutOfMemory as error:
        print(error.message)
print(len(bytearray(20_000_000)))
"""


def test_a_bounded_process_tells_that_memory_ran_out_and_lives_on() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60)
    told = "Reading big.json needs more memory than a job may use."
    assert (done.stdout.splitlines(), done.stderr) == ([told, told, "20000000"], "")

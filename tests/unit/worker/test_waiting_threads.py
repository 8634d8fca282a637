from __future__ import annotations

import os
import subprocess
import sys

import pytest

PRINT = "import tunesmith.worker.entry, os, sys; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"


@pytest.mark.parametrize(("given", "wanted"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_a_job_process_waits_asleep_unless_the_user_wants_it_otherwise(
    given: dict[str, str], wanted: str
) -> None:
    """And says so before torch loads its OpenMP runtime, which looks only once."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"} | given

    answer = subprocess.run(
        [sys.executable, "-P", "-c", PRINT], env=environment, capture_output=True, text=True, check=True
    )

    assert answer.stdout.split() == [wanted, "False"]

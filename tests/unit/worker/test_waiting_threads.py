from __future__ import annotations

import os
import subprocess
import sys

import pytest

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "ONEDNN_PRIMITIVE_CACHE_CAPACITY")
SHOWN = f"*(os.environ.get(name) for name in {NAMES}), 'torch' in sys.modules"
PRINT = f"import tunesmith.worker.entry, os, sys; print({SHOWN})"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, ["PASSIVE", "5000", "64"]),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ["ACTIVE", "None", "64"]),
        ({"GOMP_SPINCOUNT": "7", "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "8"}, ["PASSIVE", "7", "8"]),
    ],
)
def test_a_job_process_waits_briefly_awake_and_then_asleep_unless_the_user_wants_it_otherwise(
    given: dict[str, str], wanted: list[str]
) -> None:
    """And says so before torch loads its OpenMP runtime, which looks only once."""
    environment = {name: value for name, value in os.environ.items() if name not in NAMES} | given

    answer = subprocess.run(
        [sys.executable, "-P", "-c", PRINT], env=environment, capture_output=True, text=True, check=True
    )

    assert answer.stdout.split() == [*wanted, "False"]

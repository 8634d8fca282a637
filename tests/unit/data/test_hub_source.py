from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tunesmith.data.hub import load_split
from tunesmith.data.readers import read_batches

SCRIPT = """
import time
from tunesmith.data.hub import open_hub
from tunesmith.schemas.errors import TunesmithError
started = time.monotonic()
try:
    open_hub("someone/rows", None, "train", None)
except TunesmithError as error:
    print(error, time.monotonic() - started, sep="\\n")
"""


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("offline", [False, True])
def test_without_the_hub_a_hub_id_fails_within_seconds_and_says_what_to_do(
    tmp_path: Path, closed_port: int, offline: bool
) -> None:
    environment = {
        **os.environ,
        "HF_ENDPOINT": f"http://127.0.0.1:{closed_port}",
        "HF_HOME": str(tmp_path),
        "HF_HUB_OFFLINE": "1" if offline else "0",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    error, seconds = done.stdout.splitlines()
    assert error.startswith("hub_unavailable: The Hub cannot be reached, and someone/rows")
    assert "HF_ENDPOINT" in error
    assert float(seconds) < 5


def test_cells_of_a_csv_stay_the_text_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "train.csv").write_text("prompt,completion,id\n007,NA,01\n1.50,,02\n")
    (folder / "test.csv").write_text("prompt,completion,id\nword,true,x\n")
    table = load_split(str(folder), None, "train", None)
    rows = read_batches(table.with_format("arrow").iter(batch_size=10))
    assert [row.values for row in rows] == [
        {"prompt": "007", "completion": "NA", "id": "01"},
        {"prompt": "1.50", "completion": "", "id": "02"},
    ]

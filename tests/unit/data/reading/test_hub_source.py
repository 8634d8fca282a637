from __future__ import annotations

import json
import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.hub_stub import HubStub
from tunesmith.data.reading.hub import load_split
from tunesmith.data.reading.meter import Meter
from tunesmith.data.reading.tables import read_batches

FAILING = """
import time
from tunesmith.data.reading.hub import open_hub
from tunesmith.schemas.errors import TunesmithError
started = time.monotonic()
try:
    open_hub("someone/rows", None, "train", None, None)
except TunesmithError as error:
    print(error, time.monotonic() - started, sep="\\n")
"""
READING = """
import json, pickle, sys
from tunesmith.data.reading import hub
hub.PART_ROWS = 2
source, split, max_rows = json.loads(sys.argv[1])
parts, commit = hub.open_hub(source, None, split, None, max_rows)
parts = pickle.loads(pickle.dumps(parts))
rows = [[[row.number, row.values] for row in part.rows()] for part in parts]
print(json.dumps([rows, commit]))
"""


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(script: str, home: Path, endpoint: str, *arguments: str, offline: bool = False) -> str:
    environment = {
        **os.environ,
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "1" if offline else "0",
        "HF_HUB_DISABLE_XET": "1",
        "USE_TORCH": "0",  # the library would import it only to see what it is streamed into
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
        check=True,
    ).stdout


@pytest.mark.parametrize("offline", [False, True])
def test_without_the_hub_a_hub_id_fails_within_seconds_and_says_what_to_do(
    tmp_path: Path, closed_port: int, offline: bool
) -> None:
    told = run(FAILING, tmp_path, f"http://127.0.0.1:{closed_port}", offline=offline)
    error, seconds = told.splitlines()
    assert error.startswith("hub_unavailable: The Hub cannot be reached, and someone/rows")
    assert "HF_ENDPOINT" in error
    assert float(seconds) < 5


@pytest.mark.parametrize(
    ("split", "max_rows", "numbers"),
    [("train", None, [[0, 1], [2, 3], [4]]), ("train[:60%]", None, [[0, 1], [2]]), ("train", 3, [[0, 1, 2]])],
)
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_hub_dataset_comes_in_parts_with_its_commit(
    tmp_path: Path, split: str, max_rows: int | None, numbers: list[list[int]], kind: str
) -> None:
    rows = [{"id": f"00{number}", "text": "NA"} for number in range(5)]
    if kind == "jsonl":
        content = "".join(json.dumps(row) + "\n" for row in rows)
    else:
        content = "id,text\n" + "".join(f"{row['id']},{row['text']}\n" for row in rows)
    with HubStub() as hub:
        repo = hub.add_repo("acme/rows", type="dataset", files={f"train.{kind}": content.encode()})
        told = run(READING, tmp_path, hub.url, json.dumps(["acme/rows", split, max_rows]))
        read, commit = json.loads(told)
    wanted = [[[at + 1, rows[number]] for at, number in enumerate(part)] for part in numbers]
    assert (read, commit) == (wanted, repo.branches["main"][-1].oid)


def test_a_few_rows_of_a_hub_dataset_do_not_download_its_other_files(tmp_path: Path) -> None:
    files = {f"train-{number:05}-of-00009.jsonl": b'{"text": "x"}\n' * 10 for number in range(9)}
    with HubStub() as hub:
        hub.add_repo("acme/rows", type="dataset", files=files)
        read, _ = json.loads(run(READING, tmp_path, hub.url, json.dumps(["acme/rows", "train", 4])))
        downloaded = {request.path.split("/")[-1] for request in hub.asked("GET", r"/resolve/.*jsonl")}
    assert len(read[0]) == 4
    assert "train-00000-of-00009.jsonl" in downloaded
    assert len(downloaded) <= 2  # the library looks one file ahead


def test_cells_of_a_csv_stay_the_text_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    folder = tmp_path / "rows"
    folder.mkdir()
    (folder / "train.csv").write_text("prompt,completion,id\n007,NA,01\n1.50,,02\n")
    (folder / "test.csv").write_text("prompt,completion,id\nword,true,x\n")
    table = pickle.loads(pickle.dumps(load_split(str(folder), None, "train", None)))
    rows = read_batches(table.with_format("arrow").iter(batch_size=10), table.num_rows, Meter())
    assert [row.values for row in rows] == [
        {"prompt": "007", "completion": "NA", "id": "01"},
        {"prompt": "1.50", "completion": "", "id": "02"},
    ]

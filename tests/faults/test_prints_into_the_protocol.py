"""Whatever a tool, a library or a child process prints: each line on the server's stdout is a protocol message."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.server import environment

NOISY_SERVER = """
import ctypes, os, subprocess, sys
from tunesmith.tools import list_runs

quiet = list_runs.all_rows

def noisy(workspace):
    print("printed by a tool")
    print("without an end", end="")
    sys.stdout.write("written by a library")
    sys.__stdout__.write("written past whoever replaced stdout")
    os.write(1, b"written to the descriptor")
    ctypes.CDLL(None).puts(b"printed by C")
    ctypes.CDLL(None).fflush(None)
    subprocess.run(["echo", "printed by a child"])
    subprocess.Popen(["sh", "-c", "echo printed by a child that nobody waits for"])
    return quiet(workspace)

list_runs.all_rows = noisy
from tunesmith.cli.main import main
sys.exit(main(["serve"]))
"""
NOISE = [
    "printed by a tool",
    "without an end",
    "written by a library",
    "written past whoever replaced stdout",
    "written to the descriptor",
    "printed by C",
    "printed by a child",
    "printed by a child that nobody waits for",
]


def message(number, method, **parameters):
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": parameters}) + "\n"


@pytest.mark.row("R20")
def test_prints_of_tools_libraries_c_code_and_children_go_to_the_log_and_every_answer_stays_whole(store_path):
    calls = 5
    asked = message(
        1,
        "initialize",
        protocolVersion="2025-11-25",
        capabilities={},
        clientInfo={"name": "test", "version": "1"},
    )
    asked += '{"jsonrpc": "2.0", "method": "notifications/initialized"}\n'
    asked += "".join(
        message(number, "tools/call", name="list_runs", arguments={}) for number in range(2, 2 + calls)
    )
    server = subprocess.Popen(
        [sys.executable, "-P", "-c", NOISY_SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(store_path),
        text=True,
    )
    server.stdin.write(asked)
    server.stdin.flush()
    answers = [json.loads(server.stdout.readline()) for _ in range(1 + calls)]
    rest, log = server.communicate(timeout=20)

    assert sorted(answer["id"] for answer in answers) == list(range(1, 2 + calls))
    assert not any(answer["result"].get("isError") for answer in answers)
    assert rest == ""
    for noise in NOISE:
        assert noise in log

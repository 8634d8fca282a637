"""The list of tools is a matter of the release alone: not of the store, the environment, the era or the moment."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.contract.test_server import SNAPSHOT
from tests.support.server import SERVE, environment

pytestmark = pytest.mark.row("S19")


def listed(store, times=1, **more):
    """The very bytes of a fresh server's answers to tools/list."""
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    messages = [
        {"id": 0, "method": "initialize", "params": hello},
        {"method": "notifications/initialized"},
        *({"id": 1, "method": "tools/list"} for _ in range(times)),
    ]
    with subprocess.Popen(
        [sys.executable, *SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(store, **more),
    ) as server:
        for message in messages:
            server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        server.stdin.flush()
        answers = [server.stdout.readline() for _ in range(1 + times)][1:]
        server.stdin.close()
        server.wait(20)
    return answers


def test_two_servers_list_the_very_same_bytes(tmp_path):
    first, again = listed(tmp_path / "one" / "store", times=2)
    assert first == again
    (other,) = listed(
        tmp_path / "two" / "store",
        PYTHONHASHSEED="7",
        LANG="de_DE.UTF-8",
        TZ="Asia/Tokyo",
        HF_TOKEN="hf_other",
        COLUMNS="20",
    )
    assert first == other
    tools = json.loads(first)["result"]["tools"]
    assert tools == json.loads(SNAPSHOT.read_text())

"""The server process: leaves promptly, prints nothing of its own, imports nothing heavy."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.support.fake_jobs import FakeRequest
from tests.support.server import environment
from tunesmith.jobs.paths import Store
from tunesmith.jobs.submission import create_claimed
from tunesmith.schemas.enums import Work
from tunesmith.schemas.handles import new_handle

HEAVY = {
    "torch",
    "transformers",
    "peft",
    "trl",
    "datasets",
    "pyarrow",
    "pandas",
    "numpy",
    "bitsandbytes",
    "accelerate",
}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


class Server:
    """A raw server process, spoken to line by line."""

    def __init__(self, store, *flags):
        self.process = subprocess.Popen(
            [sys.executable, *flags, "-P", "-m", "tunesmith", "serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(store),
            text=True,
        )
        self.ask(INITIALIZE)
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def send(self, message):
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def ask(self, message):
        self.send(message)
        return json.loads(self.process.stdout.readline())

    def call(self, tool, **arguments):
        parameters = {"name": tool, "arguments": arguments}
        return self.ask({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": parameters})

    def wait_for_news(self, run_id):
        """Begin a call that will not be answered for a long time."""
        parameters = {"name": "get_status", "arguments": {"run_id": run_id, "wait_s": 50}}
        self.send({"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": parameters})


@pytest.fixture
def server(store_path):
    found = Server(store_path)
    yield found
    found.process.kill()
    found.process.wait()
    for pipe in (found.process.stdin, found.process.stdout, found.process.stderr):
        pipe.close()


def held_run(store_path):
    """A run that is about to start, for longer than a test takes."""
    handle = new_handle(Work.TRAIN)
    create_claimed(Store(store_path), handle, FakeRequest(behaviour="none"))
    return handle


def leave_by_signal(number):
    return lambda server: server.process.send_signal(number)


@pytest.mark.row("R17")
@pytest.mark.parametrize(
    "leave",
    [
        leave_by_signal(signal.SIGTERM),
        leave_by_signal(signal.SIGINT),
        lambda server: server.process.stdin.close(),
    ],
    ids=["SIGTERM", "SIGINT", "closed stdin"],
)
@pytest.mark.parametrize("busy", [False, True], ids=["idle", "in a call"])
def test_the_server_ends_within_a_second(store_path, server, leave, busy):
    if busy:
        run_id = held_run(store_path)
        server.call("list_runs")
        server.wait_for_news(run_id)
    began = time.monotonic()
    leave(server)
    assert server.process.wait(5) == 0
    assert time.monotonic() - began < 1.0


def test_a_call_that_waits_does_not_hold_up_another_one(store_path, server):
    server.wait_for_news(held_run(store_path))
    answer = server.call("list_runs")
    assert (answer["id"], answer["result"]["isError"]) == (2, False)


def test_the_server_imports_no_machine_learning_library_whatever_it_is_asked(store_path):
    server = Server(store_path, "-X", "importtime")
    (store_path.parent / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n' * 3)
    answer = server.call("load_dataset", source=str(store_path.parent / "rows.jsonl"))
    assert answer["result"]["isError"] is False
    server.call("push_to_hub", run_id="run-aaaaaaaaaaaaaaaa", repo_id="a/b")
    _, log = server.process.communicate()
    imported = {
        name.partition(".")[0] for name in re.findall(r"^import time:.*\|\s+([\w.]+)$", log, re.MULTILINE)
    }
    assert "mcp" in imported
    assert not imported & HEAVY


@pytest.mark.row("R20")
def test_nothing_but_the_protocol_reaches_stdout(store_path, server):
    server.call("list_runs")
    server.process.stdin.close()
    for line in server.process.stdout.read().splitlines():
        assert json.loads(line)["jsonrpc"] == "2.0"

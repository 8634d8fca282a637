"""A client that sends too much or too often is told so, and the server goes on in bounded memory."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import SERVE, environment
from tunesmith.jobs.paths import Store
from tunesmith.schemas.enums import Work
from tunesmith.schemas.errors import InvalidArgument, RateLimited
from tunesmith.server.limits import BURST, CALLS_PER_S, MOST_CHARACTERS, CallBudget, check_size

pytestmark = pytest.mark.row("S16")

MEGABYTE = 1_000_000


class Wire:
    """JSON-RPC by hand, without a client's own limits and patience."""

    def __init__(self, store: Path) -> None:
        self.store = store
        self.server = subprocess.Popen(
            [sys.executable, *SERVE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(store),
        )
        hello = {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "x", "version": "1"},
        }
        self.send({"id": 0, "method": "initialize", "params": hello})
        self.answer(0)
        self.send({"method": "notifications/initialized"})

    def send(self, message: dict[str, Any]) -> None:
        self.write(json.dumps({"jsonrpc": "2.0", **message}).encode())

    def write(self, line: bytes) -> None:
        assert self.server.stdin is not None
        self.server.stdin.write(line + b"\n")
        self.server.stdin.flush()

    def call(self, number: int, tool: str, **arguments: Any) -> None:
        self.send({"id": number, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})

    def answers(self) -> Iterator[dict[str, Any]]:
        assert self.server.stdout is not None
        for line in self.server.stdout:
            assert len(line) < 20_000
            yield json.loads(line)

    def answer(self, number: int) -> dict[str, Any]:
        return next(answer for answer in self.answers() if answer.get("id") == number)

    def text(self, number: int) -> str:
        """What a call was answered with."""
        return str(self.answer(number)["result"]["content"][0]["text"])

    def megabytes(self, name: str) -> float:
        status = Path(f"/proc/{self.server.pid}/status").read_text()
        found = re.search(rf"{name}:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1000


@pytest.fixture
def wire(store_path: Path) -> Iterator[Wire]:
    found = Wire(store_path)
    yield found
    assert found.server.stdin is not None
    found.server.stdin.close()
    assert found.server.wait(20) == 0, "the server lived to the end"
    assert found.server.stdout is not None
    found.server.stdout.close()
    assert not [Store(store_path).handles(work) for work in Work if Store(store_path).handles(work)]


def test_an_argument_of_50_megabytes_is_refused_in_seconds_by_its_name(wire: Wire) -> None:
    before = wire.megabytes("VmRSS")
    for number, arguments in enumerate(
        [
            {"source": "x" * 50 * MEGABYTE},
            {"source": "demo", "columns": {"instruction": "x" * 50 * MEGABYTE}},
            {"source": "demo", "columns": {"x" * 50 * MEGABYTE: "a"}},
        ],
        start=1,
    ):
        wire.call(number, "load_dataset", **arguments)
        text = wire.text(number)
        assert text.startswith(
            "invalid_argument: The arguments of load_dataset have more than 1,000,000 characters."
        )
        assert f"{list(arguments)[-1]} is too large" in text
    # A line is read as a whole and parsed once; what is refused is not kept.
    assert wire.megabytes("VmHWM") < before + 6 * 50
    wire.call(9, "list_runs")
    assert wire.text(9) == "0 of 0 runs."
    assert wire.megabytes("VmRSS") < before + 100


def test_many_prompts_names_and_values_are_refused_and_not_repeated(wire: Wire) -> None:
    calls: list[tuple[str, dict[str, Any], str]] = [
        ("generate_text", {"model": "demo", "prompts": ["x"] * 10_000}, "at most 64 items"),
        ("generate_text", {"model": "demo", "prompts": ["x" * 15_000] * 64, "seed": -1}, "seed = -1"),
        ("generate_text", {"model": "demo", "prompts": ["x" * 500_000]}, "more than 16,000 characters"),
        ("compare_models", {"a": "demo", "b": ".", "prompts": ["x"] * 51}, "at most 50 items"),
        ("list_runs", {"compare": ["run-x"] * 300_000}, "compare is too large"),
        ("list_runs", {f"unknown{number}": number for number in range(20_000)}, "does not know"),
        ("list_runs", {"x" * 900_000: 1}, "does not know"),
        ("list_runs", {"query": "x" * 900_000}, "at most 200 characters"),
        ("list_runs", {"query": "a1" * 400_000}, "at most 200 characters"),
        ("load_dataset", {"source": "demo", "columns": {"x" * 900_000: 1}}, "valid string"),
        ("load_dataset", {"source": "," * 4_000}, "1 to 100"),
    ]
    for number, (tool, arguments, part) in enumerate(calls, start=1):
        wire.call(number, tool, **arguments)
        text = wire.text(number)
        assert part in text, text
        assert len(text) < 1_500


def test_nested_json_ends_nothing_and_deep_values_are_refused(wire: Wire) -> None:
    def nested(depth: int) -> bytes:
        message = {"jsonrpc": "2.0", "id": depth, "method": "tools/call", "params": None}
        params = b'{"name": "list_runs", "arguments": {"query": %s}}' % (b"[" * depth + b"]" * depth)
        return json.dumps(message).encode().replace(b"null", params)

    wire.write(nested(100))
    assert wire.text(100).startswith("invalid_argument: query (list of 1)")
    # Deeper than the transport reads: no message, so that there is nobody to answer.
    for line in (
        nested(100_000),
        b'{"a":' * 200_000,
        b"[" * MEGABYTE,
        b"\xff" * MEGABYTE,
        b"9" * MEGABYTE,
        b"",
    ):
        wire.write(line)
    wire.call(7, "list_runs")
    assert wire.text(7) == "0 of 0 runs."


def test_thousands_of_calls_at_once_are_all_answered_and_most_of_them_put_off(wire: Wire) -> None:
    count, before = 3_000, wire.megabytes("VmRSS")
    # The pipe holds some hundred kilobytes: answers have to be read while calls are written.
    from threading import Thread

    writer = Thread(target=lambda: [wire.call(number, "list_runs") for number in range(1, count + 1)])
    writer.start()
    texts = []
    for answer in wire.answers():
        texts.append(answer["result"]["content"][0]["text"])
        if len(texts) == count:
            break
    writer.join(30)
    put_off = [text for text in texts if text.startswith("rate_limited: ")]
    assert len(texts) - len(put_off) >= BURST
    assert len(put_off) > count / 3
    assert "Call again in 1 s" in put_off[0]
    assert "wait_s" in put_off[0]
    assert wire.megabytes("VmHWM") < before + 150


def test_a_call_is_free_again_after_the_time_that_was_told() -> None:
    now = [100.0]
    budget = CallBudget(burst=3, calls_per_s=0.25, now_s=lambda: now[0])
    for _ in range(3):
        budget.take()
    with pytest.raises(RateLimited, match=r"Call again in 4 s\."):
        budget.take()
    now[0] += 3
    with pytest.raises(RateLimited, match=r"Call again in 1 s\."):
        budget.take()
    now[0] += 1
    budget.take()
    now[0] -= 50  # a clock that jumps back earns nothing, and takes nothing
    with pytest.raises(RateLimited):
        budget.take()
    now[0] += 1e9
    for _ in range(3):
        budget.take()
    with pytest.raises(RateLimited):
        budget.take()


def test_nobody_honest_meets_the_limit() -> None:
    """An hour of one question a tenth of a second, which no assistant asks."""
    now = [0.0]
    budget = CallBudget(now_s=lambda: now[0])
    for _ in range(36_000):
        now[0] += 0.1
        budget.take()
    assert CALLS_PER_S >= 20
    assert BURST >= 300


def test_the_size_of_arguments_counts_whatever_is_in_them() -> None:
    half = "x" * (MOST_CHARACTERS // 2)
    check_size("t", {"a": "x" * (MOST_CHARACTERS - 100)})
    check_size("t", {"a": [1] * 50_000, "b": None})
    for arguments, largest in (
        ({"a": half, "b": half + "x"}, "b is too large"),
        ({"a": [[half], {"k": [half]}]}, "a is too large"),
        ({"a": {half + half: 1}}, "a is too large"),
        ({"a": [0] * MOST_CHARACTERS}, "a is too large"),
        ({half + half: 1}, "The name of one is too long"),
    ):
        with pytest.raises(InvalidArgument, match=largest):
            check_size("t", arguments)

"""How long does a client wait for `initialize`, and how much memory does it cost?

Baseline: a bare MCPServer with one tool, started in turn with ours. Wanted: at most 1.3 x, at most 100 MB.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from benchmarks.measuring import resident_bytes, spread

ROUNDS = 11
BARE = """
from mcp.server import MCPServer
server = MCPServer("bare", log_level="WARNING")
@server.tool()
def add(a: int, b: int) -> int:
    "Add."
    return a + b
server.run("stdio")
"""
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "bench", "version": "1"},
    },
}


def measure(arguments: list[str], store: str) -> tuple[float, int]:
    """Seconds from spawn to the reply, and resident bytes once tools/list has been answered."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-P", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TUNESMITH_HOME": store},
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def ask(message: dict[str, object]) -> str:
        process.stdin.write(json.dumps(message) + "\n")
        process.stdin.flush()
        return process.stdout.readline()

    assert "result" in json.loads(ask(INITIALIZE))
    took = time.monotonic() - began
    process.stdin.write(json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}) + "\n")
    assert "tools" in ask({"jsonrpc": "2.0", "id": 2, "method": "tools/list"})
    memory = resident_bytes(process.pid)
    process.kill()
    process.communicate()
    return took, memory


def main() -> None:
    """Print both, and the ratio."""
    ours: list[tuple[float, int]] = []
    bare: list[tuple[float, int]] = []
    with tempfile.TemporaryDirectory() as store:
        for measured in range(ROUNDS + 1):
            one, other = measure(["-c", BARE], store), measure(["-m", "tunesmith", "serve"], store)
            if measured:  # the first round fills the page cache
                bare.append(one)
                ours.append(other)
    ratio = statistics.median(took for took, _ in ours) / statistics.median(took for took, _ in bare)
    for name, figures in (("bare MCPServer, one tool", bare), ("tunesmith serve", ours)):
        memory_mb = statistics.median(memory for _, memory in figures) / 1e6
        print(
            f"{name:<26} spawn to initialize {spread([took for took, _ in figures])}, resident {memory_mb:.0f} MB"
        )
    print(f"ratio {ratio:.2f} (wanted: at most 1.3)")


if __name__ == "__main__":
    main()

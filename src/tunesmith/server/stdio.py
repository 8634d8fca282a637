"""Serving over stdin and stdout, and leaving promptly."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
from typing import Any

import anyio
from mcp.server import MCPServer


def serve_stdio(server: MCPServer[Any]) -> None:
    """Serve until stdin closes or a signal comes; then the process ends at once.

    Nothing has to be saved: whatever was promised is on the disk, and runs belong to their own processes. Waiting for
    calls and threads to end would only keep a client waiting.
    """
    # Plain lines: a client keeps them in its own log, where the SDK's coloured boxes cannot be read.
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.WARNING,
        format="%(asctime)s %(name)s %(levelname)s %(message)s",
        force=True,
    )
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            line_buffering=True
        )  # a print left in a buffer until exit would reach the wire
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))

    async def serve() -> None:
        await server.run_stdio_async()
        os._exit(0)

    anyio.run(serve)

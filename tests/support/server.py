"""The real server as a subprocess, and the official client talking to it in either era."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

ERAS = ("legacy", "auto")
"""`legacy` shakes hands as clients up to 2025-11-25 do; `auto` speaks 2026-07-28."""

UNDER_WAY = ("queued", "starting", "running", "stopping")


def environment(store: Path, **more: str) -> dict[str, str]:
    """The environment of a server over `store` that may read below the store's parent."""
    kept = {
        name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH") if name in os.environ
    }
    roots = os.pathsep.join([str(store.parent), more.pop("roots", "")]).strip(os.pathsep)
    return {
        **kept,
        "TUNESMITH_HOME": str(store),
        "TUNESMITH_ROOTS": roots,
        "TUNESMITH_HOST_IDLE_S": "20",
        **more,
    }


SERVE = ("-P", "-m", "tunesmith", "serve")

FULL_DISK = (
    "-c",
    "import os, resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); "
    f"os.execv(sys.executable, [sys.executable, *{SERVE!r}])",
)
"""A server that cannot write a byte to any file."""


def parameters(store: Path, arguments: Sequence[str] = SERVE, **more: str) -> StdioServerParameters:
    """How to start the server."""
    return StdioServerParameters(command=sys.executable, args=list(arguments), env=environment(store, **more))


class Talk:
    """Calls tools the way an assistant does: follows handles with get_status, reads errors as text."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.progress: list[tuple[float, float | None, str | None]] = []
        self.outlasted: list[str] = []

    async def raw(self, tool: str, **arguments: Any) -> Any:
        """The tool's answer as it came."""
        return await self.client.call_tool(tool, arguments, progress_callback=self._note)

    async def error(self, tool: str, **arguments: Any) -> str:
        """The text of an answer that has to be an error, be it that of work which outlasted its call."""
        result = await self.raw(tool, **arguments)
        text = "".join(block.text for block in result.content)
        answer = result.structured_content or {}
        if tool != "start_training" and answer.get("state") in UNDER_WAY:
            handle = next(value for name, value in answer.items() if name.endswith("_id"))
            self.outlasted.append(handle)
            error = (await self.ended(handle)).get("error")
            assert error is not None, f"{tool} was to fail, and did not"
            return "{code}: {message} {recovery}".format(**error)
        assert result.is_error, f"{tool} was to fail, and answered: {text}"
        return text

    async def __call__(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The tool's result; work that outlasts its call is followed to its end."""
        result = await self.raw(tool, **arguments)
        assert not result.is_error, result.content[0].text
        answer: dict[str, Any] = result.structured_content
        handle = next((value for name, value in answer.items() if name.endswith("_id")), None)
        while (
            tool not in ("start_training", "get_status", "stop_training") and answer.get("state") in UNDER_WAY
        ):
            status = (await self.raw("get_status", run_id=handle, wait_s=20)).structured_content
            assert status["state"] in (*UNDER_WAY, "succeeded"), status
            told = {name: status[name] for name in ("state", "next")}
            answer = {**answer, **status.get("result", {}), **told}
        return answer

    async def ended(self, run_id: str) -> dict[str, Any]:
        """The status of a run once it has ended."""
        while True:
            status = (await self.raw("get_status", run_id=run_id, wait_s=20)).structured_content
            if status["state"] not in UNDER_WAY:
                return dict(status)

    async def _note(self, progress: float, total: float | None, message: str | None) -> None:
        self.progress.append((progress, total, message))


@asynccontextmanager
async def talk_to(
    store: Path, era: str = "auto", arguments: Sequence[str] = SERVE, person: Any = None, **more: str
) -> AsyncIterator[Talk]:
    """A conversation with a fresh server process. `person` answers what the server asks, where there is one."""
    mode = {"mode": "legacy"} if era == "legacy" else {}
    async with Client(parameters(store, arguments, **more), elicitation_callback=person, **mode) as client:
        yield Talk(client)

"""The MCP server of one store."""

from __future__ import annotations

from typing import Any

from mcp.server import MCPServer
from mcp.server.caching import CacheHint
from mcp.server.mcpserver import Context

from tunesmith import __version__
from tunesmith.jobs.executor import LocalExecutor
from tunesmith.jobs.paths import Store
from tunesmith.jobs.snapshot import Observer
from tunesmith.server.asking import client_name, person_behind
from tunesmith.server.boundary import bind
from tunesmith.server.instructions import INSTRUCTIONS
from tunesmith.server.limits import CallBudget
from tunesmith.server.resources import add_resources
from tunesmith.tools.catalogue import TOOLS
from tunesmith.tools.workspace import Workspace, report_to_nobody

_TOOLS_TTL_MS = 3_600_000  # the tools of a release never change while it runs


def create_server(store: Store) -> MCPServer[Any]:
    """A server over `store`, for any transport and both protocol eras."""
    executor, observer, budget = LocalExecutor(store), Observer(store), CallBudget()

    def workspace_of(context: Context[Any, Any]) -> Workspace:
        return Workspace(
            store, executor, observer, context.report_progress, person_behind(context), client_name(context)
        )

    server: MCPServer[Any] = MCPServer(
        "tunesmith",
        title="Tunesmith",
        description="Fine-tune a language model by talking to an assistant.",
        instructions=INSTRUCTIONS,
        version=__version__,
        tools=[bind(spec, workspace_of, budget) for spec in TOOLS],
        cache_hints={"tools/list": CacheHint(ttl_ms=_TOOLS_TTL_MS, scope="public")},
        log_level="WARNING",
    )
    add_resources(server, Workspace(store, executor, observer, report_to_nobody))
    return server

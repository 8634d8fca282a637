"""Where tools meet MCP: arguments are checked, results are shaped, errors are told.

An anticipated error reaches the model as `code: what happened. What to do next.` Anything else is our bug: the model
gets a generic text, the log gets the traceback.
"""

from __future__ import annotations

import base64
import difflib
import json
import logging
from typing import Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import func_metadata
from mcp.types import CallToolResult, ContentBlock, ImageContent, TextContent, ToolAnnotations
from pydantic import BaseModel, ValidationError

from tunesmith.jobs.scrub import visible
from tunesmith.schemas.base import Pictured
from tunesmith.schemas.errors import TunesmithError
from tunesmith.server.asking import AnswersNeeded
from tunesmith.server.limits import CallBudget, check_size
from tunesmith.server.schema_text import compact_input, compact_output
from tunesmith.server.secrets import mask, mask_argument
from tunesmith.tools.catalogue import ToolSpec
from tunesmith.tools.workspace import Workspace

_logger = logging.getLogger("tunesmith.server")
_MAX_ECHO = 60
_MAX_LOOKED_AT = 512
"""Of a value that is to be echoed: a search for secrets in a megabyte takes minutes."""
INTERNAL = (
    "internal: An unexpected error ended the call; it is in the server's log. Nothing that was running is affected. "
    "Try again once; if it happens again, report it as a bug of Tunesmith."
)


class BoundTool(Tool):
    """One of our tools as MCP sees it."""

    spec: Any
    make_workspace: Any
    budget: Any

    async def run(
        self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False
    ) -> Any:
        """Check the arguments, call the tool, shape its result, which may also be a question to the person.

        Raises:
            ToolError: an anticipated failure, a bad argument, too many calls, or (masked) a bug.
        """
        try:
            self.budget.take()
            check_size(self.name, arguments)
            checked = check_arguments(self, arguments)
            workspace: Workspace = self.make_workspace(context)
            result = await self.spec.function(workspace, **checked)
            text = self.spec.describe(result)
        except AnswersNeeded as needed:
            return needed.as_result()
        except TunesmithError as error:
            _logger.info("%s: %s", self.name, error.code)
            raise ToolError(harmless(str(error))) from error
        except Exception as error:
            _logger.exception("%s failed unexpectedly", self.name)
            raise ToolError(INTERNAL) from error
        return as_call_result(result, text)


def bind(spec: ToolSpec, make_workspace: Any, budget: CallBudget) -> BoundTool:
    """Offer a tool of ours over MCP. All tools of a server share its budget."""
    metadata = func_metadata(spec.function, skip_names=["workspace"], structured_output=True)
    return BoundTool(
        fn=spec.function,
        name=spec.name,
        title=spec.title,
        description=" ".join((spec.function.__doc__ or "").split()),
        parameters=compact_input(metadata.arg_model.model_json_schema(by_alias=True)),
        fn_metadata=metadata.model_copy(
            update={"output_schema": compact_output(metadata.output_schema or {})}
        ),
        is_async=True,
        annotations=ToolAnnotations(
            read_only_hint=spec.read_only,
            destructive_hint=spec.destructive,
            idempotent_hint=spec.idempotent,
            open_world_hint=spec.open_world,
        ),
        spec=spec,
        make_workspace=make_workspace,
        budget=budget,
    )


def check_arguments(tool: Tool, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments, checked against the tool's signature.

    Raises:
        TunesmithError: `invalid_argument`, naming each argument that is unknown, missing or wrong.
    """
    known = list(tool.parameters["properties"])
    unknown = [name for name in arguments if name not in known]
    if unknown:
        named = ", ".join(_unknown(name, known) for name in unknown[:5])
        raise _invalid(
            f"{tool.name} does not know {named}; nothing was done.", f"Its arguments are: {', '.join(known)}."
        )
    try:
        checked: dict[str, Any] = tool.fn_metadata.validate_arguments(arguments)
    except ValidationError as error:
        problems = "; ".join(_problem(detail) for detail in error.errors(include_url=False)[:5])
        raise _invalid(f"{problems}.", f"Correct that and call {tool.name} again.") from error
    return checked


def as_call_result(result: BaseModel, text: str) -> CallToolResult:
    """A short text for whoever reads only that, and the typed object; beside the text the picture, if there is one."""
    structured = masked(result.model_dump(mode="json", by_alias=True, exclude_none=True))
    content: list[ContentBlock] = [TextContent(type="text", text=harmless(text))]
    if isinstance(result, Pictured) and result.png is not None:
        data = base64.b64encode(result.png).decode()
        content.append(ImageContent(type="image", data=data, mime_type="image/png"))
    return CallToolResult(content=content, structured_content=structured)


def masked(value: Any) -> Any:
    """A JSON value with its strings, the names in its objects too, made `harmless`."""
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, dict):
        return {harmless(key): masked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item) for item in value]
    return value


def harmless(text: str) -> str:
    """`text` without anything that looks like a secret, and with hidden characters spelled out."""
    return mask(visible(text))


def _invalid(message: str, recovery: str) -> TunesmithError:
    error = TunesmithError(message, recovery)
    error.code = "invalid_argument"
    return error


def _unknown(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name[:_MAX_LOOKED_AT], known, n=1)
    return f'"{_shown(name)}"' + (f" (did you mean {near[0]}?)" if near else "")


def _problem(detail: Any) -> str:
    where = ".".join(_shown(str(part)) for part in detail["loc"]) or "arguments"
    what = detail["msg"][:1].lower() + detail["msg"][1:]
    if detail["type"] == "missing":
        return f"{where} is required"
    return f"{where} {_echo(detail['input'])}: {mask_argument(what[:_MAX_LOOKED_AT])}"


def _echo(value: Any) -> str:
    """A rejected value, as far as it may be repeated: short, and nothing that looks like a secret."""
    if isinstance(value, (dict, list)):
        return f"({type(value).__name__} of {len(value)})"
    beginning = value[:_MAX_LOOKED_AT] if isinstance(value, str) else value
    return f"= {_shown(json.dumps(beginning, ensure_ascii=False, default=str))}"


def _shown(text: str) -> str:
    """The beginning of a text from a caller, with whatever looks like a secret masked."""
    masked_text = mask_argument(text[:_MAX_LOOKED_AT])
    return masked_text if len(masked_text) <= _MAX_ECHO else masked_text[: _MAX_ECHO - 1] + "…"

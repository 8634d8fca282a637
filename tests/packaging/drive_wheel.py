"""Drives `tunesmith serve` of the environment it runs in, which has no training stack. Run by .ci/run.

In both protocol eras: the tools are listed, and a call that needs the training stack is answered with one
clear error.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters

import tunesmith
from tunesmith.jobs import lease
from tunesmith.jobs.paths import Store

TRAINING_STACK = (
    "torch", "transformers", "peft", "trl", "bitsandbytes", "datasets", "accelerate", "huggingface_hub",
    "pyarrow", "safetensors", "matplotlib", "numpy", "pandas",
)  # fmt: skip
TOOLS = [
    "load_dataset", "clean_dataset", "build_golden_set", "find_models", "configure_lora", "start_training",
    "get_status", "stop_training", "list_runs", "evaluate_model", "compare_models", "generate_text",
    "push_to_hub",
]  # fmt: skip
LIMIT_S = 60
HOST_IDLE_S = 1


async def converse(server: StdioServerParameters, mode: Any) -> None:
    """One conversation with a server of its own."""
    with anyio.fail_after(LIMIT_S):
        async with Client(server, mode=mode) as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
            assert tools == TOOLS, tools
            answer = await client.call_tool("load_dataset", {"source": "demo"})
            text = "".join(block.text for block in answer.content if block.type == "text")
            assert answer.is_error, text
            assert text.startswith("missing_extra: "), text
            assert "pip install 'tunesmith[train]'" in text, text
            assert "Traceback" not in text, text
            print(f"MCP {client.protocol_version}, {len(tools)} tools; load_dataset: {text}")


def wait_for_host_to_leave(store: Store) -> None:
    """The background host leaves by itself once it is idle; nothing may be left running."""
    deadline = time.monotonic() + LIMIT_S
    while lease.holder(store.host_lease) is not None:
        assert time.monotonic() < deadline, "the background host is still there"
        time.sleep(0.1)


def main() -> None:
    """Raises AssertionError when something is not as it should be."""
    present = [name for name in TRAINING_STACK if importlib.util.find_spec(name) is not None]
    assert not present, f"this environment is to have no training stack, and has {present}"
    package = Path(tunesmith.__file__).resolve()
    assert package.is_relative_to(Path(sys.prefix).resolve()), f"{package} is not the installed package"
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder).resolve() / "store")
        server = StdioServerParameters(
            command=str(Path(sys.prefix) / "bin" / "tunesmith"),
            args=["serve"],
            env={**os.environ, "TUNESMITH_HOME": str(store.root), "TUNESMITH_HOST_IDLE_S": str(HOST_IDLE_S)},
        )
        for mode in ("auto", "legacy"):
            anyio.run(converse, server, mode)
        wait_for_host_to_leave(store)


if __name__ == "__main__":
    main()

"""The scripted loop of benchmarks/prompt_loop.py: prompts, a soft prompt and an adapter end in one table."""

from __future__ import annotations

from pathlib import Path

import pytest
from mcp.client import Client

from benchmarks.prompt_loop import Agent, compete, print_table
from tests.support.server import parameters

pytestmark = pytest.mark.anyio


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_prompts_a_soft_prompt_and_an_adapter_end_in_one_table(
    shared_store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with Client(parameters(shared_store)) as client:
        _, board = await compete(Agent(client), "demo", "demo", rounds=2)

    by_kind = {entry.kind: entry for entry in reversed(board.entries)}
    assert set(by_kind) == {"base", "hard_prompt", "soft_prompt", "tuned"}
    assert board.entries[0].kind == "tuned" and board.entries[0].score.value > 0.9
    assert by_kind["soft_prompt"].cost.prompt_tokens == by_kind["base"].cost.prompt_tokens + 20
    assert by_kind["hard_prompt"].cost.prompt_tokens > by_kind["base"].cost.prompt_tokens
    assert by_kind["tuned"].cost.prompt_tokens == by_kind["base"].cost.prompt_tokens
    assert by_kind["base"].cost.making_tokens == 0 < by_kind["hard_prompt"].cost.making_tokens
    assert "leads by exact_match" in board.message and "more than chance" in board.message
    print_table(board)
    assert capsys.readouterr().out.count("hard_prompt") >= 2

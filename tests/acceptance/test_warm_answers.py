"""A model that has answered stays in memory for the next question, through the real server and host."""

from __future__ import annotations

import pytest

from tests.support.server import talk_to
from tunesmith.jobs.journal import read_events
from tunesmith.jobs.paths import Store
from tunesmith.schemas.enums import Work

pytestmark = pytest.mark.anyio


async def test_the_process_that_has_answered_answers_again_and_says_the_same(store_path):
    async with talk_to(store_path) as talk:
        await talk("load_dataset", source="demo")  # a host that forks
        asked = {"model": "demo", "prompts": ["What is the capital of Peru?"], "max_new_tokens": 12}
        answers = [await finished(talk, **asked) for _ in range(3)]
        drawn = [await finished(talk, **asked, temperature=1.5, top_p=0.9, seed=seed) for seed in (1, 1, 2)]
    assert answers[0] == answers[1] == answers[2]
    assert drawn[0] == drawn[1] != drawn[2]
    store = Store(store_path)
    told = [read_events(store.handle(handle).journal) for handle in store.handles(Work.GENERATE)]
    assert len(told) == 6
    pids = [event["pid"] for events in told for event in events if event["event"] == "started"]
    assert len(pids) == 6
    assert len(set(pids)) <= 2, "at most the first one was asked of a process that cannot stay"


async def finished(talk, **arguments):
    found = await talk("generate_text", **arguments)
    if found.get("outputs") is None:  # the very first one may outlast its call
        await talk.ended(found["generation_id"])
        found = (await talk("get_status", run_id=found["generation_id"]))["result"]
    return found["outputs"]

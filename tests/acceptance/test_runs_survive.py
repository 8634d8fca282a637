"""What happens to clients, servers and jobs does not happen to runs."""

from __future__ import annotations

import os
import signal

import anyio
import pytest
from safetensors.torch import load_file

from tests.acceptance.conftest import small_plan
from tests.support.server import talk_to
from tests.support.waiting import is_alive, wait_until
from tunesmith.jobs.journal import read_events
from tunesmith.jobs.lease import holder
from tunesmith.jobs.paths import Store

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def rows(shared_store):
    """The arguments of a plan that name its rows."""

    async def make():
        async with talk_one_thread(shared_store) as talk:
            plan = await small_plan(talk, shared_store)
            return {name: plan[name] for name in ("dataset_id", "golden_set_id")}

    return anyio.run(make)


def talk_one_thread(store, era="auto"):
    """Sums depend on how many threads make them: the first server of a store starts its host."""
    return talk_to(store, era, OMP_NUM_THREADS="1")


async def planned(talk, rows, **numbers):
    return (await talk("configure_lora", base_model="demo", **{"max_steps": 6, **numbers}, **rows))["plan_id"]


def weights_of(store, run_id):
    return (Store(store).handle(run_id).adapter / "adapter_model.safetensors").read_bytes()


@pytest.mark.row("R14")
async def test_eight_racing_starts_at_two_servers_make_one_run_with_one_attempt(shared_store, rows):
    async with talk_one_thread(shared_store) as first, talk_one_thread(shared_store, era="legacy") as second:
        plan_id = await planned(first, rows)
        answers = []

        async def start(talk):
            answers.append(await talk("start_training", plan_id=plan_id, request_key="race"))

        async with anyio.create_task_group() as group:
            for talk in (first, second) * 4:
                group.start_soon(start, talk)

        (run_id,) = {answer["run_id"] for answer in answers}
        assert sum(answer["created"] for answer in answers) == 1
        assert (await first.ended(run_id))["state"] == "succeeded"
        told = [await talk("get_status", run_id=run_id) for talk in (first, second)]
        assert told[0] == told[1]
        events = read_events(Store(shared_store).handle(run_id).journal)
        assert [event["attempt"] for event in events if event["event"] == "started"] == [1]


@pytest.mark.row("R14")
async def test_eight_racing_resumes_make_one_attempt(shared_store, rows):
    async with talk_one_thread(shared_store) as first, talk_one_thread(shared_store) as second:
        plan_id = await planned(first, rows, max_steps=100)
        run_id = (await first("start_training", plan_id=plan_id))["run_id"]
        await first("stop_training", run_id=run_id)
        await first.ended(run_id)

        async def resume(talk):
            await talk("start_training", plan_id=plan_id, resume_run_id=run_id)

        async with anyio.create_task_group() as group:
            for talk in (first, second) * 4:
                group.start_soon(resume, talk)

        ended = await first.ended(run_id)
        assert (ended["state"], ended["attempt"], ended["step"]) == ("succeeded", 2, 100)


@pytest.mark.row("R18")
async def test_a_call_that_was_given_up_and_made_again_finds_its_run(shared_store, rows):
    async with talk_one_thread(shared_store) as talk:
        plan_id = await planned(talk, rows)
    for patience_s in (0.0, 0.005, 0.05):
        async with talk_one_thread(shared_store) as talk:
            with anyio.move_on_after(patience_s):
                await talk.raw("start_training", plan_id=plan_id, request_key="again")
    async with talk_one_thread(shared_store) as talk:
        answer = await talk("start_training", plan_id=plan_id, request_key="again")
        assert (await talk.ended(answer["run_id"]))["state"] == "succeeded"
        again = await talk("start_training", plan_id=plan_id, request_key="again")
        assert (again["run_id"], again["created"]) == (answer["run_id"], False)
        runs = (await talk("list_runs", query="full", limit=100))["runs"]
        assert [run["run_id"] for run in runs].count(answer["run_id"]) == 1


@pytest.mark.row("R4", "R5")
async def test_a_client_that_kills_the_servers_process_group_does_not_touch_the_run(shared_store, rows):
    with pytest.raises(BaseException):  # noqa: B017 - however the client notices that its server is gone
        async with talk_one_thread(shared_store) as talk:
            plan_id = await planned(talk, rows, max_steps=200)
            run_id = (await talk("start_training", plan_id=plan_id))["run_id"]
            job = await anyio.to_thread.run_sync(
                wait_until, lambda: holder(Store(shared_store).handle(run_id).lease)
            )
            server = _server_of(shared_store)
            assert server not in (job, holder(Store(shared_store).host_lease))
            os.killpg(os.getpgid(server), signal.SIGKILL)
            wait_until(lambda: not is_alive(server))
            await talk("get_status", run_id=run_id)
    assert is_alive(job)
    async with talk_one_thread(shared_store) as talk:
        assert (await talk.ended(run_id))["state"] == "succeeded"


def _server_of(store):
    """The pid of the newest `tunesmith serve` over the store."""
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            try:
                with (
                    open(f"{entry.path}/cmdline", "rb") as command,
                    open(f"{entry.path}/environ", "rb") as variables,
                ):
                    if (
                        b"serve" in command.read().split(b"\0")
                        and f"TUNESMITH_HOME={store}".encode() in variables.read()
                    ):
                        found.append(int(entry.name))
            except OSError:
                continue
    return max(found)


@pytest.mark.slow  # in seconds: tests/training/test_resume.py
@pytest.mark.row("R1", "R3")
async def test_a_run_that_was_killed_three_times_ends_with_the_weights_of_one_that_was_not(
    shared_store, rows
):
    async with talk_one_thread(shared_store) as talk:
        plan_id = await planned(talk, rows, max_steps=120)
        whole = (await talk("start_training", plan_id=plan_id))["run_id"]
        assert (await talk.ended(whole))["state"] == "succeeded"
        run_id = (await talk("start_training", plan_id=plan_id))["run_id"]
        paths = Store(shared_store).handle(run_id)
        for step in (15, 50, 95):  # it commits every 30
            await anyio.to_thread.run_sync(wait_until, lambda step=step: _step(paths) >= step, bool, 60.0)
            pid = holder(paths.lease)
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            status = await talk.ended(run_id)
            assert (status["state"], status["error"]["code"]) == ("interrupted", "interrupted")
            await talk("start_training", plan_id=plan_id, resume_run_id=run_id)
        status = await talk.ended(run_id)
        assert (status["state"], status["attempt"], status["step"]) == ("succeeded", 4, 120)
    assert weights_of(shared_store, run_id) == weights_of(shared_store, whole)


def _step(paths):
    return max(
        (event["step"] for event in read_events(paths.journal) if event["event"] == "progress"), default=0
    )


async def test_a_finished_run_goes_on_with_more_epochs_as_a_run_of_its_own(shared_store, rows):
    async with talk_one_thread(shared_store) as talk:
        plan_id = await planned(talk, rows, max_steps=12)
        first = (await talk("start_training", plan_id=plan_id))["run_id"]
        assert (await talk.ended(first))["state"] == "succeeded"
        before = weights_of(shared_store, first)
        refused = await talk.error("start_training", plan_id=plan_id, resume_run_id=first)
        assert "more epochs" in refused

        other = await talk("configure_lora", base_model="demo", max_steps=30, learning_rate=1e-4, **rows)
        refused = await talk.error("start_training", plan_id=other["plan_id"], resume_run_id=first)
        assert refused.startswith("mismatch: ") and "learning_rate (0.0001 instead of" in refused

        longer = await talk("configure_lora", base_model="demo", max_steps=30, **rows)
        second = (await talk("start_training", plan_id=longer["plan_id"], resume_run_id=first))["run_id"]
        assert second != first
        again = await talk("start_training", plan_id=longer["plan_id"], resume_run_id=first)
        assert (again["run_id"], again["created"]) == (second, False)
        ended = await talk.ended(second)

        assert (ended["state"], ended["step"], ended["total_steps"]) == ("succeeded", 30, 30)
        events = read_events(Store(shared_store).handle(second).journal)
        assert min(event["step"] for event in events if event["event"] == "progress") == 13
        assert weights_of(shared_store, first) == before
        changed = load_file(Store(shared_store).handle(second).adapter / "adapter_model.safetensors")
        old = load_file(Store(shared_store).handle(first).adapter / "adapter_model.safetensors")
        assert any((changed[name] != old[name]).any() for name in old)

        refused = await talk.error("start_training", plan_id=plan_id, resume_run_id=second)
        assert "12 steps" in refused


async def test_a_queued_run_says_when_its_turn_comes(shared_store, rows):
    async with talk_one_thread(shared_store) as talk:
        plan_id = await planned(talk, rows, max_steps=3000)
        first, second, third = [(await talk("start_training", plan_id=plan_id))["run_id"] for _ in range(3)]
        while not (await talk("get_status", run_id=first, wait_s=1)).get("eta_s"):
            pass
        status = await talk("get_status", run_id=third)
        assert (status["state"], status["queue_position"]) == ("queued", 2)
        assert "second in line, starts in about " in status["bar"]
        assert (await talk("get_status", run_id=second))["queue_position"] == 1
        await talk("stop_training", run_id=second)
        assert (await talk.ended(second))["state"] == "stopped"
        assert (await talk("get_status", run_id=third))["queue_position"] == 1
        for run_id in (third, first):
            await talk("stop_training", run_id=run_id, grace_s=30)
            assert (await talk.ended(run_id))["state"] == "stopped"
        again = await talk("stop_training", run_id=first)
        assert again["state"] == "stopped", "a stop of what has ended changes nothing"

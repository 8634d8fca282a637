"""The Hub's token, and where it may be: the server, the jobs that ask the Hub, and their requests. Nowhere else.

It is one that no mask knows, so that nothing is forgiven: a leak would be seen, not made harmless.
"""

from __future__ import annotations

import re
import secrets
import string
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from tests.security.conftest import Place, Witness
from tests.support.hub_stub import HubStub
from tests.support.server import SERVE, environment, talk_to
from tests.support.waiting import wait_until
from tunesmith import demo
from tunesmith.jobs import lease
from tunesmith.jobs.paths import Store
from tunesmith.server.secrets import mask_argument

pytestmark = [pytest.mark.anyio, pytest.mark.row("S10")]

LOGGED = (
    "-c",
    "import os, sys; os.dup2(os.open(os.environ['SERVER_LOG'], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2); "
    f"os.execv(sys.executable, [sys.executable, *{SERVE!r}])",
)
"""A server whose standard error goes to a file."""


@dataclass
class Watched:
    """What a whole way through the tools showed, and which processes were seen meanwhile."""

    place: Place
    hub: HubStub
    token: str
    run_id: str = ""
    errors: dict[str, str] = field(default_factory=dict)
    command_lines: set[bytes] = field(default_factory=set)
    knowing: set[bytes] = field(default_factory=set)
    """The command lines of processes with the token in their environment."""

    @property
    def variables(self) -> dict[str, str]:
        return {
            "HF_TOKEN": self.token,
            "HF_ENDPOINT": self.hub.url,
            "HF_HOME": str(self.place.inside / "hub-cache"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "SERVER_LOG": str(self.place.inside / "server.log"),
            "TUNESMITH_HOST_IDLE_S": "90",
        }

    @asynccontextmanager
    async def talk(self):
        async with talk_to(self.place.store, "auto", LOGGED, **self.variables) as talk:
            yield Witness(talk.client, self.place.told)

    def look_around(self) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                line, variables = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
            except OSError:
                continue
            self.command_lines.add(line)
            if self.token.encode() in variables:
                self.knowing.add(line)

    async def keep_looking(self) -> None:
        while True:
            await anyio.to_thread.run_sync(self.look_around)
            await anyio.sleep(0.1)


@pytest.fixture(scope="module")
def watched(place):
    """Rows from the Hub, a training on the demo model, pushes that fail in each way, and every reading there is."""
    token = "".join(secrets.choice(string.ascii_letters) for _ in range(40))
    assert mask_argument(token) == token
    with HubStub(tokens={token: ("alice",)}, require_token=True) as hub:
        hub.add_repo(
            "alice/rows", type="dataset", private=True, files={"train.jsonl": place.rows.read_bytes()}
        )
        base = {
            entry.name: entry.read_bytes() for entry in demo.base_model_path().iterdir() if entry.is_file()
        }
        hub.add_repo("alice/tiny", private=True, files=base)
        found = Watched(place, hub, token)
        anyio.run(whole_way, found)
        yield found


async def whole_way(watched):
    hub = watched.hub
    async with watched.talk() as talk, anyio.create_task_group() as group:
        group.start_soon(watched.keep_looking)
        dataset = await talk("load_dataset", source="alice/rows", base_model="alice/tiny")
        golden = await talk("build_golden_set", dataset_id=dataset["dataset_id"], size=20)
        handles = {"dataset_id": golden["train_dataset_id"], "golden_set_id": golden["golden_set_id"]}
        await talk("find_models", query="tiny", dataset_id=handles["dataset_id"])
        plan = await talk("configure_lora", base_model="demo", max_steps=30, **handles)
        watched.run_id = (await talk("start_training", plan_id=plan["plan_id"]))["run_id"]
        assert (await talk.ended(watched.run_id))["state"] == "succeeded"
        await talk("evaluate_model", model=watched.run_id, golden_set_id=handles["golden_set_id"])
        push = {"run_id": watched.run_id, "repo_id": "alice/tuned"}
        await talk("push_to_hub", dry_run=True, **push)
        for name, status in (("refused", 401), ("bad", 400), ("broken", 500)):
            hub.fail_next("^/api/models/alice/tuned", status, 40, headers={"Retry-After": "0"})
            watched.errors[name] = await talk.error("push_to_hub", **push)
            hub._faults.clear()
        for message in (watched.token, "fine"):
            await talk.raw("push_to_hub", repo_id="elsewhere/x", run_id=watched.run_id, message=message)
            watched.place.told.pop()  # an answer may name what it was asked
        hub.fail_next("/api/datasets/", 401, 40)
        watched.errors["rows"] = await talk.error("load_dataset", source="alice/other")
        hub._faults.clear()
        for handle in (watched.run_id, dataset["dataset_id"], plan["plan_id"]):
            await talk.raw("get_status", run_id=handle)
        for uri in (
            f"run://{watched.run_id}",
            f"run://{watched.run_id}/log",
            f"dataset://{dataset['dataset_id']}",
        ):
            await talk.read(uri)
        await talk.raw("list_runs", compare=[watched.run_id])
        group.cancel_scope.cancel()


def test_the_hub_was_asked_with_the_token_and_every_failure_was_told(watched):
    assert watched.token in {request.token for request in watched.hub.requests}
    codes = {name: text.partition(":")[0] for name, text in watched.errors.items()}
    assert codes["refused"] == codes["rows"] == "hub_auth"
    assert (codes["bad"], codes["broken"]) == ("hub_refused", "hub_unavailable")


def test_no_answer_holds_it(watched):
    assert len(watched.place.told) > 20
    assert not [text for text in watched.place.told if watched.token in text]
    assert not [text for text in watched.errors.values() if watched.token in text]


def test_no_file_holds_it(watched):
    """Requests, journals, logs of jobs, host and server, checkpoints, results; and the Hub's cache."""
    files = [path for path in watched.place.inside.rglob("*") if path.is_file()]
    paths = Store(watched.place.store).handle(watched.run_id)
    assert {paths.log, paths.journal, Store(watched.place.store).host_log} <= set(files)
    assert watched.place.inside / "server.log" in files
    assert not [path for path in files if watched.token.encode() in path.read_bytes()]


def test_the_hub_got_it_in_no_file_and_no_address(watched):
    for request in watched.hub.requests:
        assert watched.token.encode() not in request.body
        assert watched.token not in f"{request.path} {request.query}"
    for repo in watched.hub.repos.values():
        assert not [name for name, content in repo.files.items() if watched.token.encode() in content]


def test_no_command_line_holds_it(watched):
    assert any(b"tunesmith.worker" in line for line in watched.command_lines)
    assert not [line for line in watched.command_lines if watched.token.encode() in line]


def test_only_the_server_and_jobs_that_ask_the_hub_have_it_in_their_environment(watched):
    assert watched.knowing
    jobs = set()
    for line in watched.knowing:
        words = line.rstrip(b"\0").split(b"\0")
        if b"tunesmith.worker" in words:
            jobs |= set(re.findall(rb"\b(?:ds|find|push|plan|run|gen|eval|gold|clean)-[a-z2-7]{16}\b", line))
        else:
            assert words[-1] == b"serve" or b"execv" in line, words
    kinds = {handle.partition(b"-")[0] for handle in jobs}
    assert b"push" in kinds
    assert kinds <= {b"ds", b"find", b"push"}, "neither trainings nor plans of a local model"


def test_the_host_and_its_forkserver_have_never_heard_of_it(watched):
    host = lease.holder(Store(watched.place.store).host_lease)
    assert host is not None
    below = [host]
    for pid in below:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            below += [int(child) for child in children.read_text().split()]
    assert len(below) > 1, "the forkserver is one of them"
    for pid in below:
        for name in ("environ", "cmdline"):
            assert watched.token.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()

    def left() -> set[bytes]:
        watched.knowing.clear()
        watched.look_around()
        return watched.knowing

    wait_until(left, lambda lines: not lines)


def test_the_doctor_tells_that_it_is_set_and_not_what_it_is(watched):
    told = subprocess.run(
        [sys.executable, "-P", "-m", "tunesmith", "doctor"],
        env=environment(watched.place.store, **watched.variables),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "HF_TOKEN is set" in told.stdout
    assert watched.token not in told.stdout + told.stderr


@pytest.mark.parametrize("command", [["runs"], ["runs", "--help"], ["serve", "--help"]])
def test_no_command_prints_it(watched, command):
    told = subprocess.run(
        [sys.executable, "-P", "-m", "tunesmith", *command],
        env=environment(watched.place.store, **watched.variables),
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0
    assert watched.token not in told.stdout + told.stderr

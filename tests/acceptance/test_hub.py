"""From a private Hub dataset and a private Hub model to a pushed adapter, against a Hub on this machine.

The token of these tests is made anew each time, so that wherever it turns up it got there by their doing.
"""

from __future__ import annotations

import json
import re
import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from tests.support.hub_stub import HubStub
from tests.support.server import ERAS, SERVE, Talk, talk_to
from tests.support.waiting import wait_until
from tunesmith import demo
from tunesmith.jobs import lease
from tunesmith.jobs.paths import Store

pytestmark = pytest.mark.anyio

ROWS, BASE, PICKLED = "alice/orders", "alice/tiny", "alice/pickled"

LOGGED = (
    "-c",
    "import os, sys; os.dup2(os.open(os.environ['SERVER_LOG'], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2); "
    f"os.execv(sys.executable, [sys.executable, *{SERVE!r}])",
)
"""A server whose standard error goes to a file."""


class Recorded(Talk):
    """Keeps all that it was told."""

    def __init__(self, client, told):
        super().__init__(client)
        self.told = told

    async def raw(self, tool, **arguments):
        result = await super().raw(tool, **arguments)
        self.told.append(result.model_dump_json())
        return result

    async def read(self, uri):
        """A resource's text."""
        text = (await self.client.read_resource(uri)).contents[0].text
        self.told.append(text)
        return text

    async def failure(self, tool, **arguments):
        """Code and text of the error that the work ends in, whether or not it outlasts its call."""
        result = await self.raw(tool, **arguments)
        if result.is_error:
            code, _, text = "".join(block.text for block in result.content).partition(": ")
            return code, text
        handle = next(value for name, value in result.structured_content.items() if name.endswith("_id"))
        status = await self.ended(handle)
        assert status["state"] == "failed", status
        return status["error"]["code"], f"{status['error']['message']} {status['error']['recovery']}"

    async def _note(self, progress, total, message):
        await super()._note(progress, total, message)
        self.told.append(str(message))


@dataclass
class Scene:
    """A store, a Hub, and the token of somebody who owns alice/… and acme/… there."""

    store: Path
    hub: HubStub
    token: str
    told: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def talk(self, era="auto", **changes):
        """A conversation with a server that has the token, unless `HF_TOKEN` says otherwise."""
        environment = {
            "HF_ENDPOINT": self.hub.url,
            "HF_HOME": str(self.store.parent / "hub-cache"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_TOKEN": self.token,
            "SERVER_LOG": str(self.store.parent / "server.log"),
            "TUNESMITH_HOST_IDLE_S": "90",
            **changes,
        }
        async with talk_to(self.store, era, LOGGED, **environment) as talk:
            yield Recorded(talk.client, self.told)

    def repo(self, repo_id):
        return self.hub.repos[repo_id]


@pytest.fixture(scope="module")
def scene(shared_store):
    """The demo's rows and base model, private on the Hub; beside them a model that has nothing but a pickle."""
    token = f"hf_{secrets.token_hex(17)}"
    base = {entry.name: entry.read_bytes() for entry in demo.base_model_path().iterdir() if entry.is_file()}
    rows = (shared_store.parent / "instruction.jsonl").read_bytes()
    pickled = {name: content for name, content in base.items() if name != "model.safetensors"}
    with HubStub(tokens={token: ("alice", "acme")}) as hub:
        hub.add_repo(ROWS, type="dataset", private=True, files={"train.jsonl": rows})
        hub.add_repo(BASE, private=True, files=base)
        hub.add_repo(PICKLED, files={**pickled, "pytorch_model.bin": b"\x80\x04."})
        yield Scene(shared_store, hub, token)


@dataclass
class Tuned:
    dataset_id: str
    golden_set_id: str
    plan: dict
    run_id: str
    status: dict
    evaluation: dict


@pytest.fixture(scope="module")
def tuned(scene):
    """A run on the Hub's rows and the Hub's model, judged on its golden set."""

    async def tune():
        async with scene.talk() as talk:
            dataset = await talk("load_dataset", source=ROWS)
            golden = await talk("build_golden_set", dataset_id=dataset["dataset_id"], size=24)
            golden_set_id = golden["golden_set_id"]
            plan = await talk(
                "configure_lora",
                base_model=BASE,
                dataset_id=golden["train_dataset_id"],
                golden_set_id=golden_set_id,
                max_steps=4,
            )
            run_id = (await talk("start_training", plan_id=plan["plan_id"]))["run_id"]
            status = await talk.ended(run_id)
            verdict = await talk("evaluate_model", model=run_id, golden_set_id=golden_set_id, half="test")
            return Tuned(golden["train_dataset_id"], golden_set_id, plan, run_id, status, verdict)

    return anyio.run(tune)


@dataclass
class Pushed:
    repo_id: str
    planned: dict
    first: dict
    second: dict


@pytest.fixture(scope="module")
def pushed(scene, tuned):
    """A dry run, the push that it spoke of, and the same push again."""
    arguments = {"run_id": tuned.run_id, "repo_id": "acme/adapter"}

    async def push():
        async with scene.talk() as talk:
            planned = await talk("push_to_hub", dry_run=True, **arguments)
            assert "acme/adapter" not in scene.hub.repos
            first = await talk("push_to_hub", **arguments)
            second = await talk("push_to_hub", **arguments)
            return Pushed("acme/adapter", planned, first, second)

    return anyio.run(push)


@pytest.mark.parametrize("era", ERAS)
async def test_a_private_dataset_is_read_and_its_card_names_the_commit(scene, era):
    async with scene.talk(era) as talk:
        dataset = await talk("load_dataset", source=ROWS)
        assert (dataset["format"], dataset["rows"], dataset["rows_read"]) == ("instruction", 160, 160)
        card = json.loads(await talk.read(f"dataset://{dataset['dataset_id']}"))
        assert (card["source"], card["source_kind"]) == (ROWS, "hub")
        assert card["revision"] == scene.repo(f"datasets/{ROWS}").at("main").oid
        local = await talk("load_dataset", source=str(scene.store.parent / "instruction.jsonl"))
        beside = json.loads(await talk.read(f"dataset://{local['dataset_id']}"))
        assert card["fingerprint"] == beside["fingerprint"]


async def test_a_dataset_that_is_not_there_is_told_with_what_to_do(scene):
    async with scene.talk() as talk:
        code, text = await talk.failure("load_dataset", source="alice/nothing")
    assert code == "source_not_found"
    assert "alice/nothing" in text
    assert "spelling" in text


async def test_a_private_dataset_without_a_token_is_told_to_need_one(scene):
    async with scene.talk(HF_TOKEN="") as talk:
        code, text = await talk.failure("load_dataset", source=ROWS)
    # The Hub does not say whether a private repository exists, so neither can we.
    assert code in ("hub_auth", "source_not_found")
    assert "HF_TOKEN" in text


async def test_a_token_that_the_hub_does_not_know_is_told(scene):
    unknown = f"hf_{secrets.token_hex(17)}"
    async with scene.talk(HF_TOKEN=unknown) as talk:
        code, text = await talk.failure("load_dataset", source=ROWS)
    assert code == "hub_auth"
    assert "HF_TOKEN" in text
    assert unknown not in text


@pytest.mark.row("S10")
async def test_a_private_base_model_is_trained_by_a_host_that_has_no_token(scene, tuned):
    assert (tuned.status["state"], tuned.status["step"]) == ("succeeded", 4), tuned.status
    config = tuned.plan["config"]
    assert (config["base_model"], config["base_model_kind"]) == (BASE, "hub")
    assert config["base_model_revision"] == scene.repo(BASE).at("main").oid
    host = lease.holder(Store(scene.store).host_lease)
    assert host is not None
    environment = Path(f"/proc/{host}/environ").read_bytes()
    assert scene.hub.url.encode() in environment
    assert scene.token.encode() not in environment
    assert b"HF_TOKEN" not in environment
    # What the host itself did, training and judging, it did with the files that planning had fetched.
    assert {request.token for request in scene.hub.requests if BASE in request.path} == {scene.token}


async def test_a_private_model_of_the_hub_writes_when_it_is_named_by_its_id(scene):
    async with scene.talk() as talk:
        answer = await talk("generate_text", model=BASE, prompts=["Hello"], max_new_tokens=4)
    assert [output["prompt"] for output in answer["outputs"]] == [0]


@pytest.mark.row("S8")
async def test_a_base_model_of_the_hub_that_is_only_a_pickle_is_refused_by_its_name(scene, tuned):
    async with scene.talk() as talk:
        code, text = await talk.failure("configure_lora", base_model=PICKLED, dataset_id=tuned.dataset_id)
    assert code in ("unsafe_model", "model_not_found")
    assert PICKLED in text
    assert not scene.hub.asked("GET", r"/resolve/.*pytorch_model\.bin")


async def test_a_push_makes_a_private_repository_of_exactly_the_files_of_the_dry_run(scene, pushed):
    repo = scene.repo(pushed.repo_id)
    assert repo.private is True
    assert pushed.planned["files"] == pushed.first["files"]
    assert {file["path"] for file in pushed.planned["files"]} == set(repo.files)
    assert {file["path"]: file["size_bytes"] for file in pushed.first["files"]} == {
        name: len(content) for name, content in repo.files.items()
    }
    assert pushed.planned.get("commit") is None
    assert (pushed.first["private"], pushed.first["url"]) == (True, f"{scene.hub.url}/{pushed.repo_id}")


async def test_pushing_again_changes_nothing(scene, pushed):
    commits = scene.repo(pushed.repo_id).commits
    assert [commit.oid for commit in commits] == [pushed.first["commit"]]
    assert pushed.second["commit"] == pushed.first["commit"]


async def test_the_model_card_tells_base_data_configuration_and_scores(scene, tuned, pushed):
    card = scene.repo(pushed.repo_id).files["README.md"].decode()
    assert f"base_model: {BASE}\n" in card
    assert f"datasets:\n- {ROWS}\n" in card
    assert tuned.plan["config"]["base_model_revision"] in card
    assert tuned.dataset_id in card
    assert tuned.golden_set_id in card
    assert "| tuning_method | lora |" in card
    assert "| total_steps | 4 |" in card
    after, before = (f"{tuned.evaluation[side]['loss']['value']:.4g}" for side in ("scores", "baseline"))
    assert re.search(rf"\| loss \| {after} \(.*\| {before} \(", card)


async def test_nothing_that_was_pushed_holds_a_row_or_a_path_of_this_machine(scene, pushed):
    files = scene.repo(pushed.repo_id).files
    rows = [json.loads(line) for line in (scene.store.parent / "instruction.jsonl").read_text().splitlines()]
    here = str(scene.store.parent).encode()
    for name, content in files.items():
        assert here not in content, name
        for row in rows:
            assert row["instruction"].encode() not in content, name
            assert row["response"].encode() not in content, name
    assert b"untrusted_text" not in files["plan.json"]
    assert json.loads(files["adapter_config.json"])["base_model_name_or_path"] == BASE


async def test_private_false_publishes_and_only_then(scene, tuned):
    async with scene.talk() as talk:
        answer = await talk("push_to_hub", run_id=tuned.run_id, repo_id="open", private=False)
        assert (answer["private"], answer["url"]) == (False, f"{scene.hub.url}/alice/open")
        assert scene.repo("alice/open").private is False
        code, text = await talk.failure("push_to_hub", run_id=tuned.run_id, repo_id="alice/open")
    assert code == "hub_refused"
    assert "public" in text
    assert len(scene.repo("alice/open").commits) == 1


async def test_a_push_without_a_token_is_told_what_to_set(scene, tuned):
    async with scene.talk(HF_TOKEN="") as talk:
        code, text = await talk.failure("push_to_hub", run_id=tuned.run_id, repo_id="alice/never")
    assert code == "hub_auth"
    assert "HF_TOKEN" in text
    assert "alice/never" not in scene.hub.repos


@pytest.mark.row("S10")
async def test_a_hub_that_stumbles_is_tried_again_and_no_command_line_holds_the_token(scene, tuned):
    scene.hub.fail_next(r"/api/models/acme/patient/commit/main", 500, times=2)
    lines = set()

    async def look_around():
        while True:
            lines.update(proc_files("cmdline"))
            await anyio.sleep(0.1)

    async with scene.talk() as talk, anyio.create_task_group() as group:
        group.start_soon(look_around)
        answer = await talk("push_to_hub", run_id=tuned.run_id, repo_id="acme/patient")
        group.cancel_scope.cancel()
    assert [commit.oid for commit in scene.repo("acme/patient").commits] == [answer["commit"]]
    assert any(b"tunesmith.worker" in line for line in lines)
    assert not [line for line in lines if scene.token.encode() in line]


@pytest.mark.row("S10")
async def test_the_token_is_nowhere_but_in_requests_to_the_hub(scene, tuned, pushed):
    token = scene.token
    assert token in {request.token for request in scene.hub.requests}
    for request in scene.hub.requests:
        assert token.encode() not in request.body
        assert token not in f"{request.path} {request.query}"
    for repo in scene.hub.repos.values():
        assert not [name for name, content in repo.files.items() if token.encode() in content]
    assert scene.told
    assert not [text for text in scene.told if token in text]
    files = [path for path in scene.store.parent.rglob("*") if path.is_file()]
    assert Store(scene.store).handle(tuned.run_id).log in files
    assert scene.store.parent / "server.log" in files
    assert not [path for path in files if token.encode() in path.read_bytes()]
    # The servers and their direct jobs leave. What stays, the host and its forkserver, has never heard of it.
    wait_until(lambda: not processes_that_know(token))
    assert lease.holder(Store(scene.store).host_lease) is not None


def processes_that_know(token):
    """What of the processes that we may look into names the token."""
    return [found for name in ("cmdline", "environ") for found in proc_files(name) if token.encode() in found]


def proc_files(name):
    """A file of each process that we may look into."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            yield (entry / name).read_bytes()
        except OSError:
            continue

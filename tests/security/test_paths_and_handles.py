"""Whatever a caller writes where a path or a handle belongs, nothing outside the allowed folders is read."""

from __future__ import annotations

import json
import os
import shutil

import anyio
import pytest

from tunesmith import demo
from tunesmith.jobs.paths import Store
from tunesmith.tools.catalogue import TOOLS

pytestmark = [pytest.mark.anyio, pytest.mark.row("S6")]

MODEL_PARAMETERS = [
    ("load_dataset", "base_model"),
    ("load_dataset", "harm_classifier"),
    ("configure_lora", "base_model"),
    ("evaluate_model", "model"),
    ("generate_text", "model"),
    ("compare_models", "a"),
    ("compare_models", "b"),
]
HANDLE_PARAMETERS = [
    ("clean_dataset", "dataset_id"),
    ("build_golden_set", "dataset_id"),
    ("build_golden_set", "retention_dataset_id"),
    ("build_golden_set", "decontaminate_against"),
    ("find_models", "dataset_id"),
    ("configure_lora", "dataset_id"),
    ("configure_lora", "golden_set_id"),
    ("start_training", "plan_id"),
    ("start_training", "resume_run_id"),
    ("get_status", "run_id"),
    ("stop_training", "run_id"),
    ("list_runs", "compare"),
    ("evaluate_model", "golden_set_id"),
    ("compare_models", "golden_set_id"),
    ("push_to_hub", "run_id"),
]


@pytest.fixture(scope="module")
def made(place):
    """Handles of each kind that work, so that nothing but the hostile value can be at fault."""

    async def make():
        async with place.talk() as talk:
            dataset = await talk("load_dataset", source=str(place.rows))
            golden = await talk("build_golden_set", dataset_id=dataset["dataset_id"], size=20)
            handles = {"dataset_id": golden["train_dataset_id"], "golden_set_id": golden["golden_set_id"]}
            plan = await talk("configure_lora", base_model="demo", max_steps=2, **handles)
            run_id = (await talk("start_training", plan_id=plan["plan_id"]))["run_id"]
            await talk.ended(run_id)
            return {**handles, "plan_id": plan["plan_id"], "run_id": run_id}

    return anyio.run(make)


def others(tool, made):
    """Arguments for the rest of a tool's parameters that are as they should be."""
    return {
        "load_dataset": {"source": "demo"},
        "configure_lora": {"base_model": "demo", **only(made, "dataset_id")},
        "start_training": only(made, "plan_id"),
        "evaluate_model": {"model": "demo", **only(made, "golden_set_id")},
        "generate_text": {"model": "demo", "prompts": ["x"]},
        "compare_models": {"a": "demo", "b": made["run_id"]},
        "build_golden_set": {**only(made, "dataset_id"), "size": 5},
        "push_to_hub": {"run_id": made["run_id"], "repo_id": "a/b", "dry_run": True},
    }.get(tool, {})


def only(made, name):
    return {name: made[name]}


def hostile_paths(place):
    """Every way out that comes to mind, to a file and to a folder."""
    secret, folder = str(place.outside / "secret.jsonl"), str(place.outside)
    inside = place.inside
    (inside / "link.jsonl").symlink_to(secret)
    (inside / "folder").symlink_to(folder)
    (inside / "chain.jsonl").symlink_to("link.jsonl")
    (inside / "dangling").symlink_to(place.outside / "nothing")
    return [
        secret,
        folder,
        f"{inside}/../outside/secret.jsonl",
        f"{inside}/home/../../outside/secret.jsonl",
        os.path.relpath(secret),
        "~/../../outside/secret.jsonl",
        f"/proc/self/root{secret}",
        "/proc/self/environ",
        "/dev/stdin",
        f"{inside}/link.jsonl",
        f"{inside}/chain.jsonl",
        f"{inside}/folder/secret.jsonl",
        f"{inside}/folder",
        f"{inside}/dangling",
        f"{secret}\0.jsonl",
        f"{inside}/rows.jsonl\0{secret}",
        r"\\server\share\secret.jsonl",
        "//server/share/secret.jsonl",
        r"..\..\outside\secret.jsonl",
        r"C:\secret.jsonl",
        "--help",
        "-rf",
        f"-{secret}",
        "../outside",
        "..",
        "/",
        "a/../../outside/secret.jsonl",
        "org/name/../../../outside",
        "x" * 4000,
    ]


@pytest.fixture(scope="module")
def paths(place):
    return hostile_paths(place)


REFUSALS = ("unsafe_path: ", "invalid_argument: ", "source_not_found: ", "model_not_found: ")


async def test_no_way_out_of_the_roots_makes_a_dataset(place, paths):
    more = [
        f"{place.rows},{place.outside}/secret.jsonl",
        f"{place.rows}\n{place.inside}/link.jsonl",
        f"{place.outside}/*.jsonl",
        f"{place.inside}/../outside/*.jsonl",
        f"{place.inside}/folder/*.jsonl",
        f"{place.inside}/*/../../outside/*.jsonl",
        f"{place.inside}/link*",
        f"{place.inside}/**/secret.jsonl",
    ]
    async with place.talk() as talk:
        for path in [*paths, *more]:
            text = await talk.error("load_dataset", source=path)
            assert text.startswith(REFUSALS), (path, text)
            assert len(text) < 700
            assert "Traceback" not in text
        await talk("list_runs")  # the server goes on
    assert place.told
    assert not [text for text in place.told if place.canary in text]
    assert not place.files_with_the_canary()


@pytest.mark.parametrize(("tool", "parameter"), MODEL_PARAMETERS)
async def test_no_way_out_of_the_roots_names_a_model(place, paths, made, tool, parameter):
    async with place.talk() as talk:
        for path in paths:
            text = await talk.error(tool, **{**others(tool, made), parameter: path})
            assert text.startswith(REFUSALS), (path, text)
    assert not [text for text in place.told if place.canary in text]


@pytest.mark.parametrize(
    "name", ["chat_template.jinja", "tokenizer.json", "config.json", "model.safetensors"]
)
@pytest.mark.parametrize("link", ["file", "folder"])
async def test_a_model_folder_with_a_link_out_of_the_roots_is_refused(place, made, name, link):
    """A chat template would be shown in the plan's example, a tokenizer file published with the adapter."""
    model = place.inside / f"model-{link}-{name}"
    shutil.copytree(demo.base_model_path(), model)
    if link == "file":
        (model / name).unlink(missing_ok=True)
        (model / name).symlink_to(place.outside / "secret.jinja")
    else:
        (model / name.partition(".")[0]).symlink_to(place.outside)
    async with place.talk() as talk:
        text = await talk.error("configure_lora", base_model=str(model), dataset_id=made["dataset_id"])
    assert text.startswith("unsafe_path: ")
    assert "is a link that leads outside" in text
    assert not [text for text in place.told if place.canary in text]


async def test_a_model_folder_with_links_among_allowed_folders_is_a_model(place, made):
    """As the Hub's cache lays them out."""
    blobs, model = place.inside / "blobs", place.inside / "snapshot"
    shutil.copytree(demo.base_model_path(), blobs)
    model.mkdir()
    for file in blobs.iterdir():
        (model / file.name).symlink_to(f"../blobs/{file.name}")
    async with place.talk() as talk:
        plan = await talk("configure_lora", base_model=str(model), dataset_id=made["dataset_id"], max_steps=2)
    assert plan["state"] == "succeeded"


def hostile_handles(made):
    run_id = made["run_id"]
    return [
        "../run-x",
        f"../{run_id}",
        "run-../../x",
        f"run-../{'x' * 13}",
        f"{run_id}/../{run_id}",
        f"{run_id}/",
        f"{run_id}/log.txt",
        f"./{run_id}",
        f"{run_id}\0",
        f"{run_id}\n",
        f" {run_id}",
        run_id.upper(),
        f"{run_id}x",
        run_id[:-1],
        f"run-{'.' * 16}",
        f"run-{'а' * 16}",  # Cyrillic
        f"-{run_id}",
        f"/{run_id}",
        r"run-..\..\windows",
        "%2e%2e%2frun-x",
        "*",
        "",
    ]


@pytest.mark.parametrize(("tool", "parameter"), HANDLE_PARAMETERS)
async def test_what_is_no_handle_is_refused_and_not_looked_for(place, made, tool, parameter):
    # Beside the runs lies a folder that has what a run has: only the form of its name keeps it from being read.
    disguised = place.inside / "run-x"
    if not disguised.exists():
        shutil.copytree(Store(place.store).handle(made["run_id"]).folder, disguised)
        (disguised / "request.json").write_text(json.dumps({"canary": place.canary}))
    async with place.talk() as talk:
        for handle in hostile_handles(made):
            value = [handle] if parameter in ("compare", "decontaminate_against") else handle
            text = await talk.error(tool, **{**others(tool, made), parameter: value})
            assert text.startswith("invalid_argument: "), (handle, text)
    assert not [text for text in place.told if place.canary in text]
    shutil.rmtree(disguised)


@pytest.mark.parametrize("template", ["run://{}", "run://{}/log", "dataset://{}", "plan://{}/range-test.png"])
async def test_a_uri_without_a_handle_is_refused(place, made, template):
    async with place.talk() as talk:
        for handle in hostile_handles(made):
            text = await talk.read(template.format(handle))
            assert text.startswith("refused: "), (handle, text)
        for way_out in (
            "..%2F..%2F..%2Fetc%2Fpasswd",
            "%2Fetc%2Fpasswd",
            "..%5C..",
            f"..%2Fruns%2F{made['run_id']}",
        ):
            text = await talk.read(template.format(way_out))
            assert text.startswith("refused: "), (way_out, text)
            assert "root:" not in text
        assert json.loads(await talk.read(f"run://{made['run_id']}"))["state"] == "succeeded"


async def test_every_parameter_that_takes_a_path_or_a_handle_is_attacked_here(place):
    async with place.talk() as talk:
        tools = (await talk.client.list_tools()).tools
    assert [tool.name for tool in tools] == [spec.name for spec in TOOLS]
    named = {
        (tool.name, name)
        for tool in tools
        for name, schema in tool.input_schema["properties"].items()
        if name.endswith(("_id", "model", "_classifier", "source", "path", "file", "folder", "url"))
        or "handle" in schema.get("description", "")
        or name == "b"  # like a, and described there
    }
    others = {("load_dataset", "source"), ("push_to_hub", "repo_id"), ("list_runs", "query")}
    assert named == {*MODEL_PARAMETERS, *HANDLE_PARAMETERS, *others}

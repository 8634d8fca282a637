"""Base models for this machine, through a real client in both protocol eras: offline, from a Hub, and from folders."""

from __future__ import annotations

import json
import secrets
import shutil
from contextlib import asynccontextmanager

import pytest

from tests.support.hub_stub import HubStub
from tests.support.server import ERAS, talk_to
from tests.unit.training.bases.hub_models import add_model
from tunesmith import demo

pytestmark = pytest.mark.anyio

NO_HUB = "http://127.0.0.1:9"
METHODS = {"full", "lora", "qlora", "prompt_tuning", "prefix_tuning"}


@asynccontextmanager
async def talk(store, era="auto", **changes):
    """A conversation with a server whose only root is the store's parent, and that reaches no Hub unless told."""
    environment = {
        "HOME": str(store.parent),
        "HF_HOME": str(store.parent / "hf"),
        "HF_ENDPOINT": NO_HUB,
        "HF_HUB_DISABLE_XET": "1",
        **changes,
    }
    async with talk_to(store, era, **environment) as talking:
        yield talking


@pytest.fixture(scope="module")
def token():
    return f"hf_{secrets.token_hex(17)}"


@pytest.fixture(scope="module")
def hub(token):
    """An open model, one with a gate, one that nobody but its owner may see, and three that are no base models."""
    with HubStub(tokens={token: ("alice",)}) as stub:
        add_model(stub, "acme/llama-open", chat_template="{{ messages }}")
        add_model(stub, "meta-llama/Llama-3.2-1B", gated=True, license="llama3.2")
        add_model(stub, "alice/llama-own", private=True)
        add_model(stub, "acme/llama-code", auto_map={"AutoModelForCausalLM": "modeling.Model"})
        add_model(stub, "acme/llama-awq", quantization_config={"quant_method": "awq"})
        add_model(stub, "acme/other")
        yield stub


@pytest.fixture(scope="module")
def local_model(shared_store):
    folder = shared_store.parent / "models" / "order-model"
    shutil.copytree(demo.base_model_path(), folder)
    return folder


@pytest.mark.parametrize("era", ERAS)
async def test_without_a_hub_the_table_answers_and_says_that_it_is_alone(shared_store, era):
    async with talk(shared_store, era) as talking:
        answer = await talking("find_models", query="smollm", limit=5)
    assert answer["models"]
    assert answer["total"] >= len(answer["models"])
    for model in answer["models"]:
        assert model["source"] == "table"
        assert (model["family"], model["license"], model["gated"]) == ("smollm", "apache-2.0", False)
        assert set(model["fit"]) == set(model["memory"]) == METHODS
        assert min(model["memory"].values()) > model["parameters"] / 2
    warnings = " ".join(answer["warnings"])
    assert "could not be reached" in warnings
    assert "The table is of 2" in warnings
    assert "memory" in answer["machine"]
    assert answer["next"][0]["tool"] == "load_dataset"


@pytest.mark.parametrize("era", ERAS)
async def test_the_hub_is_searched_with_the_servers_token_and_gates_are_told(shared_store, hub, token, era):
    async with talk(shared_store, era, HF_ENDPOINT=hub.url, HF_TOKEN=token) as talking:
        answer = await talking("find_models", query="llama", limit=50)
    models = {model["id"]: model for model in answer["models"]}
    assert {"acme/llama-open", "alice/llama-own", "meta-llama/Llama-3.2-1B"} <= models.keys()
    assert not {"acme/llama-code", "acme/llama-awq", "acme/other"} & models.keys()
    open_model, gated = models["acme/llama-open"], models["meta-llama/Llama-3.2-1B"]
    assert (open_model["source"], open_model["chat_template"], open_model["context"]) == ("hub", True, 131072)
    assert open_model["memory"] == gated["memory"]  # the same shape, one from the Hub, one from the table
    assert (gated["gated"], gated["license"]) == (True, "llama3.2")
    assert "access has to be requested" in gated["note"]
    assert "HF_TOKEN" in gated["note"]
    assert "access has to be requested" not in open_model["note"]
    assert "could not be reached" not in str(answer["warnings"])
    assert "1 of the Hub's models left out: bring code of their own." in answer["warnings"]
    assert token not in json.dumps(answer)
    assert not hub.asked("GET", "safetensors")


async def test_without_a_token_nobody_elses_private_model_is_listed(shared_store, hub):
    async with talk(shared_store, HF_ENDPOINT=hub.url, HF_TOKEN="") as talking:
        answer = await talking("find_models", query="llama", limit=50)
    assert "alice/llama-own" not in [model["id"] for model in answer["models"]]


async def test_a_token_that_the_hub_refuses_is_told_and_the_table_answers(shared_store, hub):
    unknown = f"hf_{secrets.token_hex(17)}"
    async with talk(shared_store, HF_ENDPOINT=hub.url, HF_TOKEN=unknown) as talking:
        answer = await talking("find_models", query="qwen3", limit=3)
    assert {model["source"] for model in answer["models"]} == {"table"}
    assert "HF_TOKEN" in answer["warnings"][0]
    assert unknown not in json.dumps(answer)


async def test_a_search_is_told_again_by_its_handle(shared_store):
    async with talk(shared_store, HF_HUB_OFFLINE="1") as talking:
        answer = await talking("find_models", query="phi", limit=2)
        status = await talking("get_status", run_id=answer["search_id"])
    assert answer["search_id"].startswith("find-")
    assert status["state"] == "succeeded"
    assert status["result"]["models"] == answer["models"]
    assert answer["models"][0]["id"] in status["summary"]
    assert "HF_HUB_OFFLINE" in answer["warnings"][0]


async def test_a_local_folder_is_found_for_a_dataset_and_its_next_call_plans_with_it(
    shared_store, local_model
):
    async with talk(shared_store) as talking:
        rows = await talking("load_dataset", source=str(shared_store.parent / "chat.jsonl"))
        golden = await talking("build_golden_set", dataset_id=rows["dataset_id"], size=20)
        proposed = golden["next"][0]
        assert proposed["tool"] == "find_models"
        answer = await talking("find_models", query="order-model", **proposed["arguments"])
        (found,) = answer["models"]
        assert (found["id"], found["source"], found["context"]) == (str(local_model), "local", 512)
        assert "no chat template" in found["note"]
        (call,) = answer["next"]
        assert (call["tool"], call["arguments"]) == (
            "configure_lora",
            {
                "base_model": str(local_model),
                "dataset_id": golden["train_dataset_id"],
                "tuning_method": "lora",
                "golden_set_id": golden["golden_set_id"],
            },
        )
        plan = await talking(call["tool"], **call["arguments"])
        assert plan["config"]["base_model"] == str(local_model)


@pytest.mark.parametrize(("query", "local"), [("smollm", False), (None, True)])
async def test_without_a_hub_the_next_call_plans_with_a_model_that_can_be_loaded(
    shared_store, local_model, query, local
):
    async with talk(shared_store) as talking:
        rows = await talking("load_dataset", source=str(shared_store.parent / "chat.jsonl"))
        answer = await talking("find_models", query=query, dataset_id=rows["dataset_id"], limit=50)
    assert answer["models"][0]["source"] == "table"
    (call,) = answer["next"]
    assert call["arguments"]["base_model"] == (str(local_model) if local else "demo")
    assert "the Hub was not searched" in call["why"]


async def test_a_largest_size_and_the_embedded_model(shared_store):
    async with talk(shared_store) as talking:
        answer = await talking("find_models", query="demo", max_parameters=1e6)
    (found,) = answer["models"]
    assert (found["id"], found["source"], found["fit"]["lora"]) == ("demo", "demo", "fits")


async def test_a_query_that_nothing_matches_says_how_to_go_on(shared_store):
    async with talk(shared_store) as talking:
        answer = await talking("find_models", query="no such model anywhere")
    assert (answer["models"], answer["total"]) == ([], 0)
    assert answer["next"][0]["tool"] == "find_models"


async def test_models_that_are_too_large_come_with_another_method_to_try(shared_store):
    async with talk(shared_store) as talking:
        answer = await talking("find_models", query="Llama-3.1-70B", tuning_method="full")
    assert {model["fit"]["full"] for model in answer["models"]} == {"does_not_fit"}
    assert all(model["note"].startswith("Too large here for full") for model in answer["models"])
    (call,) = answer["next"]
    assert (call["tool"], call["arguments"]["tuning_method"]) == ("find_models", "qlora")


@pytest.mark.parametrize("era", ERAS)
async def test_bad_arguments_are_refused_with_what_to_do(shared_store, era):
    async with talk(shared_store, era) as talking:
        for arguments, words in (
            ({"limit": 0}, "limit = 0"),
            ({"limit": 51}, "limit = 51"),
            ({"max_parameters": 0}, "max_parameters = 0"),
            ({"max_parameters": "many"}, "max_parameters"),
            ({"tuning_method": "magic"}, "tuning_method"),
            ({"query": "x" * 201}, "query"),
            ({"famly": "qwen"}, "find_models does not know"),
            ({"dataset_id": "run-aaaaaaaaaaaaaaaa"}, "dataset_id is not the handle of a dataset"),
        ):
            text = await talking.error("find_models", **arguments)
            assert text.startswith("invalid_argument: "), text
            assert words in text
        text = await talking.error("find_models", dataset_id="ds-aaaaaaaaaaaaaaaa")
        assert text.startswith("unknown_handle: ")

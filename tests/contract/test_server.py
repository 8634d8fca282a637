"""What every client relies on: the tools as listed, the errors as told, the resources, in both protocol eras."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.server import ERAS, talk_to
from tunesmith.server.instructions import INSTRUCTIONS
from tunesmith.tools.catalogue import TOOLS

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("era", ERAS)]
SNAPSHOT = Path(__file__).with_name("tools_list.json")
HANDLES = {
    "run_id": "run-aaaaaaaaaaaaaaaa",
    "plan_id": "plan-aaaaaaaaaaaaaaaa",
    "dataset_id": "ds-aaaaaaaaaaaaaaaa",
    "golden_set_id": "gold-aaaaaaaaaaaaaaaa",
}


async def listed(talk):
    tools = (await talk.client.list_tools()).tools
    return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools]


@pytest.mark.row("S19")
async def test_tools_list_equals_the_snapshot_and_fits_into_20_kB(store_path, era):
    async with talk_to(store_path, era) as talk:
        tools = await listed(talk)
    text = json.dumps(tools, indent=1, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        SNAPSHOT.write_text(text)
    assert text == SNAPSHOT.read_text(), "the contract changed: run with UPDATE_SNAPSHOTS=1, review the diff"
    assert len(json.dumps(tools, separators=(",", ":"), ensure_ascii=False).encode()) <= 20_000


async def test_every_tool_has_title_annotations_and_schemas_without_references(store_path, era):
    async with talk_to(store_path, era) as talk:
        tools = await listed(talk)
    assert [tool["name"] for tool in tools] == [spec.name for spec in TOOLS]
    for tool in tools:
        assert tool["title"]
        assert len(tool["annotations"]) == 4
        assert "$ref" not in json.dumps(tool)
        assert tool["inputSchema"]["additionalProperties"] is False
        assert "next" in tool["outputSchema"]["properties"]


async def test_an_assistant_is_told_the_order_of_work_in_under_1500_characters(store_path, era):
    async with talk_to(store_path, era) as talk:
        assert talk.client.instructions == INSTRUCTIONS
    assert len(INSTRUCTIONS) < 1500
    places = [
        INSTRUCTIONS.index(name)
        for name in (
            "load_dataset",
            "build_golden_set",
            "configure_lora",
            "start_training",
            "get_status",
            "evaluate_model",
            "push_to_hub",
        )
    ]
    assert places == sorted(places)


async def test_an_unknown_argument_is_refused_by_name_and_a_near_one_proposed(store_path, era):
    async with talk_to(store_path, era) as talk:
        text = await talk.error(
            "configure_lora", base_model="demo", dataset_id=HANDLES["dataset_id"], learnin_rate=1
        )
        assert text.startswith(
            'invalid_argument: configure_lora does not know "learnin_rate" (did you mean learning_rate?)'
        )
        assert "dataset_id" in text  # the arguments there are


async def test_a_missing_or_wrong_argument_is_named_with_what_was_wrong(store_path, era):
    async with talk_to(store_path, era) as talk:
        assert "source is required" in await talk.error("load_dataset")
        text = await talk.error("list_runs", limit=0)
        assert "limit = 0: input should be greater than or equal to 1" in text


@pytest.mark.row("S10")
async def test_a_value_that_looks_like_a_secret_is_never_echoed(store_path, era):
    secret = "hf_" + "QwErTyUiOpAsDfGhJkLzXcVbNm123456"
    async with talk_to(store_path, era) as talk:
        for tool, arguments in (
            ("get_status", {"run_id": secret}),
            ("get_status", {secret: 1}),
            ("list_runs", {"limit": secret}),
            ("load_dataset", {"source": f"https://user:{secret}@host/x"}),
            ("load_dataset", {"source": f"./{secret}.csv"}),
            ("push_to_hub", {"run_id": HANDLES["run_id"], "repo_id": "a/b", "private": secret}),
        ):
            assert secret not in await talk.error(tool, **arguments)


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("get_status", {"run_id": HANDLES["run_id"]}),
        ("stop_training", {"run_id": HANDLES["run_id"]}),
        ("start_training", {"plan_id": HANDLES["plan_id"]}),
        ("build_golden_set", {"dataset_id": HANDLES["dataset_id"]}),
        ("find_models", {"dataset_id": HANDLES["dataset_id"]}),
        ("get_status", {"run_id": "find-aaaaaaaaaaaaaaaa"}),
        ("configure_lora", {"base_model": "demo", "dataset_id": HANDLES["dataset_id"]}),
        ("evaluate_model", {"model": HANDLES["run_id"], "golden_set_id": HANDLES["golden_set_id"]}),
        ("evaluate_model", {"model": "demo", "golden_set_id": HANDLES["golden_set_id"]}),
        ("generate_text", {"model": HANDLES["run_id"], "prompts": ["x"]}),
        ("compare_models", {"a": HANDLES["run_id"], "b": "demo"}),
        ("get_status", {"run_id": "cmp-aaaaaaaaaaaaaaaa"}),
        ("push_to_hub", {"run_id": HANDLES["run_id"], "repo_id": "a/b"}),
        ("list_runs", {"compare": [HANDLES["run_id"]]}),
    ],
)
async def test_an_unknown_handle_is_told_with_the_next_step(store_path, era, tool, arguments):
    async with talk_to(store_path, era) as talk:
        text = await talk.error(tool, **arguments)
        assert text.startswith("unknown_handle: ")
        assert "call " in text.lower()


async def test_a_handle_of_another_kind_is_told_apart(store_path, era):
    async with talk_to(store_path, era) as talk:
        text = await talk.error("start_training", plan_id=HANDLES["run_id"])
        assert text.startswith("invalid_argument: plan_id is not the handle of a plan")
        assert "configure_lora" in text


@pytest.mark.row("S6", "S18")
async def test_paths_outside_the_roots_urls_and_nul_are_refused(store_path, era):
    async with talk_to(store_path, era, HOME=str(store_path.parent)) as talk:
        assert (await talk.error("load_dataset", source="/etc/passwd")).startswith("unsafe_path: ")
        assert (await talk.error("load_dataset", source="../../../../etc/passwd")).startswith("unsafe_path: ")
        assert (await talk.error("load_dataset", source="https://example.org/x.csv")).startswith(
            "invalid_argument: "
        )
        assert (await talk.error("load_dataset", source="a\0b")).startswith("invalid_argument: ")


@pytest.mark.row("S6")
async def test_a_link_that_leads_out_of_the_roots_is_refused(store_path, era):
    (store_path.parent / "innocent.csv").symlink_to("/etc/passwd")
    async with talk_to(store_path, era, HOME=str(store_path.parent)) as talk:
        source = str(store_path.parent / "innocent.csv")
        assert (await talk.error("load_dataset", source=source)).startswith("unsafe_path: ")


async def test_a_missing_file_is_told_with_its_neighbours(store_path, era):
    (store_path.parent / "orders.jsonl").write_text("{}")
    async with talk_to(store_path, era) as talk:
        text = await talk.error("load_dataset", source=str(store_path.parent / "order.jsonl"))
        assert text.startswith("source_not_found: ")
        assert "Near it: orders.jsonl" in text


async def test_resources_are_listed_and_unknown_ones_refused(store_path, era):
    async with talk_to(store_path, era) as talk:
        templates = (await talk.client.list_resource_templates()).resource_templates
        assert {template.uri_template for template in templates} == {
            "run://{run_id}",
            "run://{run_id}/log",
            "dataset://{dataset_id}",
            "plan://{plan_id}/range-test.png",
        }
        for uri in (
            f"run://{HANDLES['run_id']}",
            "run://nonsense",
            f"dataset://{HANDLES['dataset_id']}",
            "run://../x/log",
            f"plan://{HANDLES['plan_id']}/range-test.png",
        ):
            with pytest.raises(Exception, match=r"unknown_handle|Unknown resource"):
                await talk.client.read_resource(uri)


async def test_an_empty_store_lists_no_runs(store_path, era):
    async with talk_to(store_path, era) as talk:
        assert await talk("list_runs") == {"runs": [], "total": 0, "next": []}
    assert not store_path.exists()  # looking makes nothing

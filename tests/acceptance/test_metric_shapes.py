"""What evaluate_model scores follows from the data, and it says so: over a real server, on the demo model."""

from __future__ import annotations

import json

import pytest

from tests.acceptance.conftest import write
from tests.support.server import talk_to
from tunesmith import demo

pytestmark = pytest.mark.anyio

SHAPES = {
    "labels": lambda row, at: "blue" if "blue" in row["response"] else "another colour",
    "json": lambda row, at: json.dumps({"place": row["response"][:3], "row": {"number": at}}),
    "prose": lambda row, at: f"{row['response']} That is order {at}.",
}


async def golden_set(talk, store, shape):
    rows = [json.loads(line) for line in demo.dataset_path().read_text().splitlines()[:200]]
    answered = [{**row, "response": SHAPES[shape](row, at)} for at, row in enumerate(rows)]
    write(store.parent / f"{shape}.jsonl", answered)
    dataset = await talk("load_dataset", source=str(store.parent / f"{shape}.jsonl"))
    return (await talk("build_golden_set", dataset_id=dataset["dataset_id"], size=60))["golden_set_id"]


async def test_labels_json_and_prose_are_each_scored_in_their_own_way(shared_store):
    async with talk_to(shared_store) as talk:
        labels = await golden_set(talk, shared_store, "labels")
        scored = await talk("evaluate_model", model="demo", golden_set_id=labels)
        assert {"accuracy", "macro_f1", "bits_per_byte", "stopped"} <= scored["scores"].keys()
        assert "2 different labels" in scored["metrics_because"]
        assert sum(map(sum, scored["confusion"]["counts"])) == scored["rows"]
        assert 1 <= len(scored["worst"]) <= 5
        assert "Write the order" in scored["worst"][0]["untrusted_prompt"]
        assert scored["targets"]["accuracy"]["met"] in (True, False)

        records = await golden_set(talk, shared_store, "json")
        scored = await talk("evaluate_model", model="demo", golden_set_id=records)
        assert {"json_valid", "json_fields", "exact_match"} <= scored["scores"].keys()

        prose = await golden_set(talk, shared_store, "prose")
        refused = await talk.error(
            "evaluate_model", model="demo", golden_set_id=prose, metrics=["json_fields"]
        )
        assert refused.startswith("invalid_argument: json_fields cannot be scored here")
        assert "exact_match" in refused
        refused = await talk.error(
            "evaluate_model", model="demo", golden_set_id=prose, metrics=["regex:(?=x)"]
        )
        assert "lookarounds" in refused


async def test_a_prompt_is_a_candidate_of_which_the_test_half_is_opened_once(shared_store):
    async with talk_to(shared_store) as talk:
        gold = await golden_set(talk, shared_store, "prose")
        asked = {"model": "demo", "golden_set_id": gold, "half": "test", "prompt": "Be exact."}
        first = await talk("evaluate_model", **asked, metrics=["loss"])
        again = await talk("evaluate_model", **asked)
        assert again["scores"] == first["scores"] and first["evaluation_id"] in again["notes"][0]
        misspelt = await talk.error("evaluate_model", **asked, metrics=["rouge"])
        assert "did you mean rouge_l?" in misspelt


async def test_prompts_that_cannot_be_tried_are_refused_with_what_to_change(shared_store):
    async with talk_to(shared_store) as talk:
        gold = await golden_set(talk, shared_store, "prose")

        async def refused(**asked):
            return await talk.error("evaluate_model", model="demo", golden_set_id=gold, **asked)

        no_field = await refused(variants=[{"system": "Be exact."}, {"template": "Q: {question}"}])
        assert no_field.startswith("invalid_argument: variants[1].template has no field {prompt}")
        assert "prompt is short for one variant" in await refused(prompt="x", variants=[{"few_shot": 1}])
        assert "cannot be searched on the test half" in await refused(
            half="test", variants=[{}, {"few_shot": 1}]
        )
        assert "few_shot=32 is more than can be shown" in await refused(variants=[{"few_shot": 32}])
        assert "variants.0.shots" in await refused(variants=[{"shots": 2}])


async def test_a_search_over_prompts_ends_with_one_table_of_what_scores_and_costs_what(shared_store):
    async with talk_to(shared_store) as talk:
        gold = await golden_set(talk, shared_store, "labels")
        variants = [{"few_shot": 2}, {"system": "Answer with a colour."}, {"template": "Order: {prompt}"}]

        found = await talk(
            "evaluate_model", model="demo", golden_set_id=gold, variants=variants, metrics=["loss"]
        )

        assert found["search"]["rungs"] == [{"variants": 3, "rows": 8}, {"variants": 2, "rows": 15}]
        assert found["rows"] == 15 and found["comparison"]["look"] == 1
        hard, base = sorted(found["leaderboard"]["entries"], key=lambda entry: entry["kind"], reverse=True)
        assert (hard["kind"], base["kind"]) == ("hard_prompt", "base")
        assert hard["variant"] == found["variant"] and "difference" in hard and "difference" not in base
        assert hard["cost"]["prompt_tokens"] > base["cost"]["prompt_tokens"]
        assert hard["cost"]["making_tokens"] == found["search"]["tokens"] > base["cost"]["making_tokens"] == 0

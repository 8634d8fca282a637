"""Benchmarks among the metrics of evaluate_model, over a real server."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.acceptance.conftest import small_plan
from tests.support.server import ERAS, talk_to
from tunesmith.tools.installed import is_installed

pytestmark = pytest.mark.anyio


@pytest.mark.skipif(is_installed("lm_eval"), reason="it is about the harness being missing")
@pytest.mark.parametrize("era", ERAS)
async def test_without_the_harness_a_benchmark_is_refused_at_once(shared_store, era):
    async with talk_to(shared_store, era) as talk:
        asked = {"model": "demo", "golden_set_id": "gold-0123456789abcdef"}
        told = await talk.error("evaluate_model", **asked, metrics=["loss", "lm_eval:arc_easy"])
        assert told.startswith("missing_extra:") and "pip install 'tunesmith[lm-eval]'" in told


@pytest.mark.slow
@pytest.mark.skipif(not is_installed("lm_eval"), reason="lm-eval is not installed")
async def test_a_task_file_is_scored_beside_the_golden_rows_of_a_run(shared_store):
    folder = shared_store.parent
    rows = [json.loads(line) for line in (folder / "instruction.jsonl").read_text().splitlines()[:20]]
    (folder / "orders.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": "orders.jsonl"}}}
    asked = {"test_split": "test", "doc_to_text": "{{instruction}}", "doc_to_target": "{{response}}"}
    kind = {"output_type": "generate_until", "generation_kwargs": {"until": ["\n"], "max_gen_toks": 24}}
    metric = {"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}
    task = {**data, **asked, **kind, "metric_list": [metric]}
    (folder / "orders.yaml").write_text(yaml.safe_dump(task))
    async with talk_to(shared_store, HF_HUB_OFFLINE="1") as talk:
        plan = await small_plan(talk, shared_store)
        run_id = (await talk("start_training", plan_id=plan["plan_id"]))["run_id"]
        assert (await talk.ended(run_id))["state"] == "succeeded"
        asked = {"model": run_id, "golden_set_id": plan["golden_set_id"]}
        found = await talk("evaluate_model", **asked, metrics=["loss", f"lm_eval:{folder / 'orders.yaml'}"])
        print(found)
        name = "lm_eval:orders/exact_match"
        assert {"loss", name} == found["scores"].keys() == found["baseline"].keys()
        assert found["scores"][name]["low"] <= found["scores"][name]["value"] <= found["scores"][name]["high"]
        assert found["comparison"]["differences"][name]["p"] <= 1

        refused = await talk.error("evaluate_model", **asked, metrics=["lm_eval:arc_easy"])
        assert refused.startswith("hub_unavailable:") and "lm_eval:<path" in refused
        (folder / "code.yaml").write_text("doc_to_text: !function os.system\n")
        refused = await talk.error("evaluate_model", **asked, metrics=[f"lm_eval:{folder / 'code.yaml'}"])
        assert "would run a program" in refused

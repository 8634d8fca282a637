"""A learning rate that is found by trying, through a real client."""

from __future__ import annotations

import base64

import pytest

from tests.support.server import ERAS, talk_to

pytestmark = pytest.mark.anyio


@pytest.mark.slow  # in seconds: tests/training/test_rate_probe.py
async def test_auto_plans_with_a_rate_that_was_tried_and_shows_the_curve_in_both_eras(shared_store):
    async with talk_to(shared_store) as talk:
        dataset = await talk("load_dataset", source="demo", max_rows=200)
        plan = await talk(
            "configure_lora", base_model="demo", dataset_id=dataset["dataset_id"], learning_rate="auto"
        )
        assert plan["config"]["learning_rate_probe"] is True
        assert "range test of" in plan["reasons"]["learning_rate"]
        usual = await talk("configure_lora", base_model="demo", dataset_id=dataset["dataset_id"])
        ratio = plan["config"]["learning_rate"] / usual["config"]["learning_rate"]
        assert 0.1 <= ratio <= 10
    for era in ERAS:
        async with talk_to(shared_store, era) as talk:
            picture = (await talk.client.read_resource(f"plan://{plan['plan_id']}/range-test.png")).contents[
                0
            ]
            assert picture.mime_type == "image/png"
            assert base64.b64decode(picture.blob).startswith(b"\x89PNG")
            with pytest.raises(Exception, match="learning_rate"):
                await talk.client.read_resource(f"plan://{usual['plan_id']}/range-test.png")

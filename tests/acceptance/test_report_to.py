"""report_to over a real server: the figures of a run are in TensorBoard's files too."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import small_plan
from tests.support.server import ERAS, talk_to
from tunesmith.jobs.paths import Store
from tunesmith.tools.installed import is_installed

pytestmark = pytest.mark.anyio


@pytest.mark.skipif(is_installed("wandb"), reason="it is about a tracker that is missing")
@pytest.mark.parametrize("era", ERAS)
async def test_a_tracker_that_is_not_installed_is_refused_at_once(shared_store, era):
    async with talk_to(shared_store, era) as talk:
        plan = {"plan_id": "plan-0123456789abcdef"}
        told = await talk.error("start_training", **plan, report_to=["tensorboard", "wandb"])
        assert told.startswith("missing_extra: report_to names wandb")
        assert "pip install 'tunesmith[wandb]'" in told
        told = await talk.error("start_training", **plan, report_to=["neptune"])
        assert "report_to" in told and "'trackio'" in told


async def test_a_run_reports_to_tensorboard_and_says_where(shared_store):
    async with talk_to(shared_store) as talk:
        plan = await small_plan(talk, shared_store)
        started = await talk("start_training", plan_id=plan["plan_id"], report_to=["tensorboard"])
        ended = await talk.ended(started["run_id"])
        assert ended["state"] == "succeeded", ended
        (told,) = [finding for finding in ended["findings"] if finding["code"].startswith("reports_to")]
        run = Store(shared_store).handle(started["run_id"])
        assert told["severity"] == "info" and f"tensorboard --logdir {run.trackers}" in told["recovery"]

        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(run.trackers / "tensorboard" / run.handle)).Reload()
        assert [point.step for point in events.Scalars("train/loss")] == [1, 2, 3, 4, 5, 6]
        held_out = events.Scalars("eval/loss")
        assert held_out[0].value == pytest.approx(ended["base_eval_loss"])
        assert held_out[-1].value == pytest.approx(ended["eval_loss"])

        published = await talk("push_to_hub", run_id=run.handle, repo_id="somebody/adapter", dry_run=True)
        assert published["files"] and not [file for file in published["files"] if "tfevents" in file["path"]]

"""Memory that really runs out costs time, not the run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.training import tiny
from tunesmith.data.rows import Row
from tunesmith.jobs.executor import ALLOCATOR
from tunesmith.jobs.journal import read_events
from tunesmith.jobs.paths import HandlePaths, Store
from tunesmith.schemas.enums import TrainingMode

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="RLIMIT_DATA counts anonymous memory on Linux only"
)

ROOM = 270_000_000
BATCH = 64


@pytest.fixture(scope="module")
def wide_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_model(
        tmp_path_factory.mktemp("wide"),
        reads=False,
        hidden_size=192,
        intermediate_size=768,
        num_hidden_layers=14,
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small enough to be loaded where nothing can be trained."""
    return tiny.make_model(
        tmp_path_factory.mktemp("small"),
        reads=False,
        hidden_size=192,
        intermediate_size=768,
        num_hidden_layers=6,
    )


def make_run(store: Store, base: Path, mode: TrainingMode = TrainingMode.FULL, **changed: Any) -> HandlePaths:
    """A step of 64 rows of 120 tokens, of which a pass has as many as ROOM is too small for."""
    rows = [
        Row(number, prompt=f"{number} " + "word " * 20, completion="green " * 2) for number in range(1, 129)
    ]
    dataset = tiny.add_dataset(store, rows)
    golden = tiny.add_golden_set(store, dataset, rows[:4])
    request = tiny.configure_request(
        base,
        dataset,
        golden,
        batch_size=BATCH,
        max_steps=2 if mode is TrainingMode.SMOKE else 1,
        target_modules=["all-linear"],
        dropout=0.0,
    )
    numbers = {"micro_batch_size": BATCH, "gradient_accumulation_steps": 1, "packing": False, **changed}
    plan = tiny.make_plan(store, request, numbers)
    return tiny.make_run(store, plan, mode).paths


def train(store: Store, run: HandlePaths, room: int, within_s: float = 240) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.training.limited", str(store.root), run.handle, str(room)],
        capture_output=True,
        text=True,
        timeout=within_s,
        env={**os.environ, **ALLOCATOR},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
@pytest.mark.row("R12")
def test_a_training_that_runs_out_of_memory_ends_well_with_the_same_batch(
    store: Store, wide_base: Path
) -> None:
    plenty, scarce = make_run(store, wide_base), make_run(store, wide_base)
    expected = train(store, plenty, 8_000_000_000)
    outcome = train(store, scarce, ROOM)

    steps = [event["changes"] for event in read_events(scarce.journal) if event["event"] == "stepped_down"]
    assert steps
    assert all(
        change["micro_batch_size"] * change["gradient_accumulation_steps"] == BATCH for change in steps
    )
    assert not [event for event in read_events(plenty.journal) if event["event"] == "stepped_down"]
    told = [event for event in read_events(scarce.journal) if event["event"] == "finding"]
    assert [event["code"] for event in told] == ["stepped_down"] * len(steps)
    assert (outcome["steps"], outcome["trained_tokens"]) == (expected["steps"], expected["trained_tokens"])
    assert outcome["eval_loss"] == pytest.approx(expected["eval_loss"], rel=1e-3)
    adapters = [load_file(run.adapter / "adapter_model.safetensors") for run in (plenty, scarce)]
    for name, weight in adapters[0].items():
        assert (adapters[1][name] - weight).abs().max() < 1e-4


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_trial_that_runs_out_of_memory_says_what_the_run_will_come_down_to(
    store: Store, wide_base: Path
) -> None:
    # A trial takes five minutes at most, and this one's steps take all of them.
    outcome = train(store, make_run(store, wide_base, TrainingMode.SMOKE), ROOM, within_s=500)

    assert outcome["smoke"]["go"], outcome["smoke"]["reasons"]
    assert any(
        "memory ran out until" in reason and "rows at a time" in reason
        for reason in outcome["smoke"]["reasons"]
    )


@pytest.mark.row("R12")
def test_at_the_foot_of_the_ladder_a_person_is_asked(store: Store, base: Path) -> None:
    lowest = {
        "micro_batch_size": 1, "gradient_accumulation_steps": BATCH, "activation_checkpointing": True,
        "optim": "adamw_8bit",
    }  # fmt: skip
    outcome = train(store, make_run(store, base, **lowest), 40_000_000)

    assert "out_of_memory" in outcome["error"]
    assert "qlora" in outcome["recovery"]

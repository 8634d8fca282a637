"""The traps of docs/traps.md that no other test holds, and the table itself."""

from __future__ import annotations

import ast
import re
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest

from tests.training import tiny
from tunesmith.jobs.paths import Store
from tunesmith.schemas.errors import InvalidArgument
from tunesmith.training import train_job
from tunesmith.training.inputs import load_base, read_inputs
from tunesmith.training.model import load_run_model

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "docs" / "traps.md"
TRAPS = 14


def changed(plan: Any, **config: Any) -> Any:
    return plan.model_copy(update={"config": plan.config.model_copy(update=config)})


def rows_of_the_table() -> dict[int, str]:
    found = re.findall(r"^\| (\d+) \|(.*)\|$", TABLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {int(number): text for number, text in found}


@pytest.mark.parametrize("number", range(1, TRAPS + 1))
def test_every_trap_has_a_guard_that_exists_and_a_test_that_exists(number: int) -> None:
    _, guard, tests = rows_of_the_table()[number].split("|")

    guards = re.findall(r"`([\w/.]+\.(?:py|toml))`", guard)
    named = re.findall(r"`([\w/.]+\.py)::(\w+)`", tests)
    assert guards and named
    for path in guards:
        assert (ROOT / path).exists() or (ROOT / "src/tunesmith" / path).exists(), path
    for path, name in named:
        tree = ast.parse((ROOT / "tests" / path).read_text(encoding="utf-8"))
        functions = {
            node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert name in functions, f"{path}::{name}"


@pytest.mark.parametrize("method", ["prompt_tuning", "prefix_tuning"])
def test_trap_03_a_plan_that_asks_to_pack_soft_prompts_trains_each_row_alone(
    method: str, base: Path, store: Store, every_step_told: None
) -> None:
    """Rows that share a sequence would see each other, and only the first would see the prompt."""
    from tunesmith.training.dev_loss import dev_loss
    from tunesmith.training.methods import attach

    dataset = tiny.add_dataset(store, tiny.colour_rows(8))
    request = tiny.configure_request(base, dataset, tuning_method=method, max_steps=1, batch_size=8)
    plan = changed(tiny.make_plan(store, request), packing=True)
    job = tiny.make_run(store, plan)
    train_job.run(job)

    inputs = read_inputs(store, plan)
    alone = dev_loss(attach(load_base(inputs, plan), plan.config), inputs.train.rows, lambda _: None).loss
    assert tiny.losses(job.paths)[1] == pytest.approx(alone, rel=1e-4)


def test_trap_08_nothing_in_the_package_merges_an_adapter_into_its_base() -> None:
    """Into four-bit weights it would move the logits; adapters are kept, evaluated and published as they are."""
    merging = re.compile(r"\.(merge_and_unload|merge_adapter|merge|unload)\(")
    for path in (ROOT / "src" / "tunesmith").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "peft" in text:
            assert not merging.search(text), path


@pytest.mark.parametrize("quantization", ["nf4", "int8"])
def test_trap_08_a_tuned_quantized_model_is_evaluated_as_it_was_trained(
    quantization: str, base: Path, store: Store
) -> None:
    """Base below its adapter, both as they were: the held-out loss is the training's last one."""
    from tunesmith.training.dev_loss import dev_loss

    dataset = tiny.add_dataset(store, tiny.green_rows(40))
    golden = tiny.add_golden_set(store, dataset, tiny.green_rows(10, start=50))
    request = tiny.configure_request(
        base,
        dataset,
        golden,
        tuning_method="qlora",
        quantization=quantization,
        learning_rate=2e-2,
        max_steps=20,
    )
    plan = changed(tiny.make_plan(store, request), quantization=quantization)
    job = tiny.make_run(store, plan)
    outcome = train_job.run(job)

    model, _ = load_run_model(job.paths, plan)
    inputs = read_inputs(store, plan)

    assert dev_loss(model, inputs.dev, lambda _: None).loss == pytest.approx(outcome.eval_loss, rel=1e-3)
    with model.disable_adapter():
        assert dev_loss(model, inputs.dev, lambda _: None).loss == pytest.approx(
            outcome.base_eval_loss, rel=1e-3
        )
    assert outcome.eval_loss is not None and outcome.base_eval_loss is not None
    assert outcome.eval_loss < outcome.base_eval_loss / 2


def test_trap_09_the_output_head_is_never_a_target(base: Path, store: Store) -> None:
    dataset = tiny.add_dataset(store, tiny.colour_rows(8))

    with pytest.raises(InvalidArgument, match="lm_head"):
        tiny.make_plan(store, tiny.configure_request(base, dataset, target_modules=["q_proj", "lm_head"]))
    plan = tiny.make_plan(store, tiny.configure_request(base, dataset, target_modules=["all-linear"]))
    assert "lm_head" not in (plan.config.target_modules or [])


def test_trap_09_a_launch_of_several_processes_that_became_one_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from tunesmith.training import trainer

    monkeypatch.setenv("WORLD_SIZE", "2")

    with pytest.raises(RuntimeError, match="2 processes"):
        trainer._check_world_size(1)
    with pytest.raises(RuntimeError, match="a run is one process"):
        trainer._check_world_size(2)
    monkeypatch.delenv("WORLD_SIZE")
    trainer._check_world_size(1)


def test_trap_09_without_a_launcher_only_one_accelerator_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    from tunesmith.training.hardware import use_one_accelerator

    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "to be restored")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    use_one_accelerator()
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"


@pytest.mark.parametrize(
    "config",
    [
        {"tuning_method": "qlora", "quantization": "nf4"},
        {"tuning_method": "lora", "quantization": "int8"},
        {"tuning_method": "full", "optim": "adamw_8bit"},
    ],
    ids=str,
)
def test_trap_11_what_bitsandbytes_does_works_on_a_processor(
    config: dict[str, Any], base: Path, store: Store
) -> None:
    dataset = tiny.add_dataset(store, tiny.green_rows(40))
    golden = tiny.add_golden_set(store, dataset, tiny.green_rows(10, start=50))
    request = tiny.configure_request(
        base, dataset, golden, tuning_method=config["tuning_method"], learning_rate=1e-2, max_steps=10
    )

    outcome = train_job.run(tiny.make_run(store, changed(tiny.make_plan(store, request), **config)))

    assert outcome.eval_loss is not None and outcome.base_eval_loss is not None
    assert outcome.eval_loss < outcome.base_eval_loss


def test_trap_13_a_transformers_that_ran_remote_code_cannot_be_installed_beside_tunesmith() -> None:
    (wanted,) = [entry for entry in requires("tunesmith") or [] if entry.startswith("transformers")]

    from packaging.requirements import Requirement

    allowed = Requirement(wanted).specifier
    assert not allowed.contains("5.19.0")
    assert allowed.contains("5.23.0")

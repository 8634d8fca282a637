from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.training import tiny
from tunesmith.jobs.paths import Store
from tunesmith.schemas.enums import Work
from tunesmith.schemas.errors import Mismatch, ModelNotFound, NotReady
from tunesmith.schemas.handles import new_handle
from tunesmith.training.architecture import bare_model
from tunesmith.training.facts import read_model_facts
from tunesmith.training.targets import matrices_of


def test_a_plan_shows_a_real_row_as_the_model_will_see_it(base: Path, store: Store) -> None:
    dataset = tiny.add_dataset(store, tiny.colour_rows(20))
    golden = tiny.add_golden_set(store, dataset, tiny.colour_rows(4, start=50))

    plan = tiny.make_plan(store, tiny.configure_request(base, dataset, golden))

    assert ": ⟦" in plan.example.untrusted_text and plan.example.untrusted_text.endswith(f"{tiny.EOS}⟧")
    assert plan.golden_dev_fingerprint is not None
    assert (plan.train_rows, plan.dataset_id, plan.golden_set_id) == (20, dataset, golden)
    assert {"torch", "transformers", "peft", "trl"} <= set(plan.versions)


def test_configuring_loads_no_weights(base: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("weights were loaded")

    monkeypatch.setattr(transformers.PreTrainedModel, "from_pretrained", fail)
    dataset = tiny.add_dataset(store, tiny.colour_rows(8))

    assert tiny.make_plan(store, tiny.configure_request(base, dataset)).base_fingerprint


def test_the_facts_of_a_model_come_from_its_config_and_headers(base: Path) -> None:
    from transformers import AutoModelForCausalLM

    facts = read_model_facts(base)
    model = AutoModelForCausalLM.from_pretrained(base)

    assert facts.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert (facts.hidden_size, facts.layers, facts.context) == (32, 2, 128)
    assert not [matrix for matrix in matrices_of(bare_model(base)) if "lm_head" in matrix.name]


def test_gpt2s_transposed_matrices_are_counted_the_right_way_round(tmp_path: Path) -> None:
    from transformers import GPT2Config

    GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=20).save_pretrained(tmp_path)
    shapes = {
        matrix.short_name: (matrix.inputs, matrix.outputs) for matrix in matrices_of(bare_model(tmp_path))
    }

    assert shapes["c_attn"] == (16, 48)


def test_a_golden_set_of_another_dataset_is_refused_with_the_right_call(base: Path, store: Store) -> None:
    trained, other = (tiny.add_dataset(store, tiny.colour_rows(8)) for _ in range(2))
    golden = tiny.add_golden_set(store, trained, tiny.colour_rows(4, start=50))

    with pytest.raises(Mismatch) as error:
        tiny.make_plan(store, tiny.configure_request(base, other, golden))

    assert f"dataset_id={trained!r}" in error.value.recovery
    assert f"golden_set_id={golden!r}" in error.value.recovery


def test_data_that_is_not_finished_is_told(base: Path, store: Store) -> None:
    dataset = tiny.add_dataset(store, tiny.colour_rows(8))

    with pytest.raises(NotReady):
        tiny.make_plan(store, tiny.configure_request(base, new_handle(Work.LOAD_DATASET)))
    with pytest.raises(NotReady):
        tiny.make_plan(store, tiny.configure_request(base, dataset, new_handle(Work.BUILD_GOLDEN_SET)))


def test_a_base_model_that_is_not_there_is_told(store: Store, tmp_path: Path) -> None:
    dataset = tiny.add_dataset(store, tiny.colour_rows(8))

    with pytest.raises(ModelNotFound):
        tiny.make_plan(store, tiny.configure_request(tmp_path / "nothing", dataset))


def test_without_a_golden_set_the_plan_warns_that_nothing_is_held_out(base: Path, store: Store) -> None:
    plan = tiny.make_plan(store, tiny.configure_request(base, tiny.add_dataset(store, tiny.colour_rows(8))))

    assert any("build_golden_set" in warning for warning in plan.warnings)

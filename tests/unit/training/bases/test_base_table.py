"""The table of base models: what stands in it follows from the sizes that stand beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tunesmith.training.bases.candidate import FAMILIES
from tunesmith.training.bases.shape import Shape
from tunesmith.training.bases.table import TABLE, Entry, Table, entry_of, read_table, write_table

ENTRIES = read_table().models


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.id)
def test_the_parameter_count_follows_from_the_sizes_within_two_percent(entry: Entry) -> None:
    assert Shape(**entry.shape).parameters == pytest.approx(entry.parameters, rel=0.02)


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("HuggingFaceTB/SmolLM2-135M", 134_515_008),
        ("google/gemma-3-270m", 268_098_176),
        ("Qwen/Qwen3-0.6B", 596_049_920),
        ("meta-llama/Llama-3.2-1B", 1_235_814_400),
        ("meta-llama/Llama-3.1-8B-Instruct", 8_030_261_248),
        ("microsoft/phi-4", 14_659_507_200),
        ("mistralai/Mistral-Nemo-Instruct-2407", 12_247_782_400),
        ("Qwen/Qwen2.5-72B", 72_706_203_648),
    ],
)
def test_well_known_counts_are_in_the_table(model: str, parameters: int) -> None:
    (entry,) = [entry for entry in ENTRIES if entry.id == model]
    assert entry.parameters == parameters


@pytest.mark.parametrize("model", ["HuggingFaceTB/SmolLM3-3B", "google/gemma-2-2b", "microsoft/phi-2"])
def test_transformers_builds_the_same_number_of_weights_from_the_sizes(model: str) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    (entry,) = [entry for entry in ENTRIES if entry.id == model]
    sizes = {key: value for key, value in entry.shape.items() if key not in ("model_type", "mlp_matrices")}
    with torch.device("meta"):
        built = AutoModelForCausalLM.from_config(AutoConfig.for_model(entry.shape["model_type"], **sizes))
    assert sum(weight.numel() for weight in built.parameters()) == entry.parameters


def test_every_family_is_there_with_models_for_a_laptop_and_for_a_server() -> None:
    for family in FAMILIES:
        sizes = [entry.parameters for entry in ENTRIES if entry.family == family]
        assert min(sizes) < 8e9, family
    assert max(entry.parameters for entry in ENTRIES) > 70e9
    assert min(entry.parameters for entry in ENTRIES) < 200e6


def test_ids_are_unique_hub_ids_and_gates_and_licences_are_told() -> None:
    ids = [entry.id for entry in ENTRIES]
    assert len(set(ids)) == len(ids)
    assert all(name.count("/") == 1 for name in ids)
    gates = {
        entry.family: {entry.gated for entry in ENTRIES if entry.family == entry.family} for entry in ENTRIES
    }
    assert all(entry.gated for entry in ENTRIES if entry.family in ("llama", "gemma")), gates
    assert not any(entry.gated for entry in ENTRIES if entry.family in ("qwen", "smollm", "phi"))
    assert all(entry.license for entry in ENTRIES)


def test_the_table_says_when_and_from_what_it_was_made() -> None:
    table = read_table()
    assert table.date >= "2026-11-21"
    assert table.source


def test_writing_the_table_again_changes_nothing(tmp_path: Path) -> None:
    write_table(read_table(), tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == TABLE.read_bytes()


def test_a_line_says_all_that_a_candidate_knows() -> None:
    assert [entry_of(entry.candidate) for entry in ENTRIES] == ENTRIES


def test_a_model_without_a_shape_gets_no_line() -> None:
    unknown = (
        Table.model_validate(read_table().model_dump())
        .models[0]
        .candidate.__class__(
            id="a/b", family="x", source="hub", parameters=1, context=1, shape=None, gated=False
        )
    )
    assert entry_of(unknown) is None

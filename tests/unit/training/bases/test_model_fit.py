"""Whether a model fits is a pure function of its shape, the rows, the method and the machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tunesmith.data.rows import Message, Row, write_rows
from tunesmith.schemas.datasets import DatasetCard
from tunesmith.schemas.enums import TuningMethod
from tunesmith.training.bases.fit import Fitting, MethodFit, fit_of
from tunesmith.training.bases.rows import ASSUMED, Extent, Rows, measure, rows_of
from tunesmith.training.bases.table import read_table
from tunesmith.training.facts import ModelFacts
from tunesmith.training.hardware import Hardware

LAPTOP = Hardware("cpu", "a processor", memory_bytes=8 * 10**9, bfloat16=True, cores=4)
SERVER = Hardware("cuda", "a large GPU", memory_bytes=80 * 10**9, bfloat16=True, cores=16)


def facts_of(model: str) -> ModelFacts:
    (entry,) = [entry for entry in read_table().models if entry.id == model]
    facts = entry.candidate.facts
    assert facts is not None
    return facts


def fit(
    facts: ModelFacts,
    method: TuningMethod = TuningMethod.LORA,
    rows: Rows = ASSUMED,
    machine: Hardware = SERVER,
) -> MethodFit:
    found = fit_of(facts, method, rows, machine)
    assert found is not None
    return found


def test_the_same_model_fits_a_server_and_not_a_laptop() -> None:
    facts = facts_of("meta-llama/Llama-3.1-8B")
    assert fit(facts, TuningMethod.LORA, machine=SERVER).fits == "fits"
    assert fit(facts, TuningMethod.LORA, machine=LAPTOP).fits == "does_not_fit"


def test_four_bit_weights_fit_where_whole_ones_do_not() -> None:
    facts = facts_of("Qwen/Qwen2.5-32B")
    small = replace(SERVER, memory_bytes=40 * 10**9)
    assert fit(facts, TuningMethod.QLORA, machine=small).fits != "does_not_fit"
    assert fit(facts, TuningMethod.LORA, machine=small).fits == "does_not_fit"
    assert fit(facts, TuningMethod.FULL, machine=small).fits == "does_not_fit"


def test_between_fitting_and_not_fitting_lies_a_tight_fit() -> None:
    facts = facts_of("HuggingFaceTB/SmolLM2-1.7B")
    least = fit(facts, TuningMethod.LORA, machine=replace(SERVER, memory_bytes=0)).memory_bytes
    seen = [
        fit(facts, machine=replace(SERVER, memory_bytes=round(share * least))).fits
        for share in (0.9, 1.03, 1.5)
    ]
    assert seen == ["does_not_fit", "tight", "fits"]


@pytest.mark.parametrize("method", TuningMethod)
def test_every_method_has_a_fit_with_memory_and_time(method: TuningMethod) -> None:
    found = fit(facts_of("HuggingFaceTB/SmolLM2-135M"), method, machine=LAPTOP)
    assert found.memory_bytes > 134_515_008
    assert found.seconds > 0


@pytest.mark.parametrize("machine", [LAPTOP, SERVER], ids=["laptop", "server"])
def test_a_fit_is_what_the_memory_says_for_every_model_of_the_table(machine: Hardware) -> None:
    fitting = Fitting(ASSUMED, machine)
    seen = [fitting.of(entry.candidate, TuningMethod.QLORA) for entry in read_table().models]
    assert None not in seen
    for found in seen:
        assert found is not None
        assert (found.fits == "does_not_fit") == (found.memory_bytes > machine.memory_bytes)


def test_each_method_has_an_answer_of_its_own_and_a_chat_version_that_of_its_base() -> None:
    base, chat = (
        entry.candidate for entry in read_table().models if entry.id.startswith("HuggingFaceTB/SmolLM2-135M")
    )
    fitting = Fitting(ASSUMED, SERVER)
    found = fitting.of_all(base)
    assert list(found) == list(TuningMethod)
    assert len({fit.memory_bytes for fit in found.values()}) == len(TuningMethod)
    assert fitting.of_all(chat) == found


def test_longer_rows_take_more_time_and_memory() -> None:
    facts = facts_of("HuggingFaceTB/SmolLM2-135M")
    short, long = (
        fit(facts, rows=rows_of([Extent(length, 100, length - 100)] * 10, count=1000, chats=False))
        for length in (400, 4000)
    )
    assert long.seconds > short.seconds
    assert long.memory_bytes > short.memory_bytes


def test_a_row_is_a_token_for_four_characters_and_outliers_do_not_count() -> None:
    sample = [Extent(39, 19, 20)] * 198 + [Extent(1_000_000, 1, 1)] * 2
    rows = rows_of(sample, count=500, chats=True)
    assert (rows.longest, rows.count, rows.chats, rows.assumed) == (10, 500, True, False)
    assert rows_of([Extent(0, 0, 0)], count=1, chats=False).data.lengths == [1]


def test_the_rows_of_a_dataset_are_measured_with_what_of_them_is_learned(tmp_path: Path) -> None:
    chat = [Message("user", "x" * 40), Message("assistant", "y" * 20), Message("user", "z" * 40)]
    rows = [Row(number=1, messages=[*chat, Message("assistant", "w" * 60)])]
    write_rows(tmp_path / "rows", rows, "messages")
    card = DatasetCard.model_construct(rows=1, row_kind="messages")
    measured = measure(card, tmp_path / "rows")
    assert measured.chats is True
    assert (measured.data.lengths, measured.data.prompt_lengths) == ([41], [11])
    assert measured.data.loss_share == 0.5


def test_a_method_that_a_model_cannot_take_has_no_fit() -> None:
    facts = replace(facts_of("HuggingFaceTB/SmolLM2-135M"), matrices=[], context=24)
    assert fit_of(facts, TuningMethod.LORA, ASSUMED, SERVER) is None
    assert fit_of(facts, TuningMethod.PROMPT_TUNING, ASSUMED, SERVER) is None

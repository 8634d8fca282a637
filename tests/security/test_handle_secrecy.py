"""A handle is what lets its holder look at work: it cannot be guessed, and opens nothing in another store."""

from __future__ import annotations

import base64
import secrets

import pytest

from tests.conftest import end_processes
from tests.support.server import talk_to
from tunesmith.jobs.paths import Store
from tunesmith.schemas import handles
from tunesmith.schemas.enums import Work
from tunesmith.schemas.handles import PREFIX_OF_WORK, derived_handle, is_handle, new_handle

pytestmark = pytest.mark.row("S17")

BITS = 80


def random_part(handle: str) -> bytes:
    return base64.b32decode(handle.partition("-")[2].upper())


@pytest.mark.parametrize("work", Work)
def test_a_handle_is_eighty_bits_that_the_operating_system_drew(
    work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[bytes] = []

    def token_bytes(count: int) -> bytes:
        drawn.append(original(count))
        return drawn[-1]

    original = secrets.token_bytes
    monkeypatch.setattr(handles.secrets, "token_bytes", token_bytes)
    handle = new_handle(work)
    assert random_part(handle) == drawn[0], "all of it, and nothing else"
    assert len(drawn[0]) * 8 >= BITS
    assert is_handle(handle, PREFIX_OF_WORK[work])


def test_every_bit_of_a_handle_varies_and_none_comes_twice() -> None:
    made = [random_part(new_handle(Work.TRAIN)) for _ in range(4_000)]
    assert len(set(made)) == len(made)
    numbers = [int.from_bytes(raw) for raw in made]
    for bit in range(BITS):
        ones = sum(number >> bit & 1 for number in numbers)
        assert 1_700 < ones < 2_300, f"bit {bit}"  # nine standard deviations


def test_a_derived_handle_has_as_many_bits_and_follows_from_all_of_its_parts() -> None:
    plan, key = new_handle(Work.CONFIGURE), "monday"
    handle = derived_handle(Work.TRAIN, plan, key)
    assert len(random_part(handle)) * 8 == BITS
    assert handle == derived_handle(Work.TRAIN, plan, key)
    others = {
        derived_handle(Work.TRAIN, plan, "tuesday"),
        derived_handle(Work.TRAIN, new_handle(Work.CONFIGURE), key),
        derived_handle(Work.TRAIN, plan + key),
        derived_handle(Work.TRAIN, key, plan),
        derived_handle(Work.TRAIN, key),
    }
    assert handle not in others
    assert len(others) == 5


def test_neither_a_derived_handle_nor_its_key_tells_the_plan() -> None:
    """Who knows a key that everybody uses has to guess the plan's eighty bits, and a run does not show them."""
    seen = {derived_handle(Work.TRAIN, new_handle(Work.CONFIGURE), "1") for _ in range(500)}
    assert len(seen) == 500


@pytest.mark.anyio
async def test_a_handle_of_one_store_is_unknown_in_another_and_not_listed_there(tmp_path) -> None:
    first, second = tmp_path / "first" / "store", tmp_path / "second" / "store"
    first.parent.mkdir()
    second.parent.mkdir()
    try:
        async with talk_to(first) as talk:
            dataset = await talk("load_dataset", source="demo", max_rows=200)
            plan = await talk(
                "configure_lora", base_model="demo", dataset_id=dataset["dataset_id"], max_steps=2
            )
            run_id = (await talk("start_training", plan_id=plan["plan_id"], request_key="1"))["run_id"]
            await talk.ended(run_id)
            assert [run["run_id"] for run in (await talk("list_runs"))["runs"]] == [run_id]
        async with talk_to(second) as talk:
            assert (await talk("list_runs"))["runs"] == []
            assert (await talk("list_runs", query=run_id))["total"] == 0
            for tool, arguments in (
                ("get_status", {"run_id": run_id}),
                ("get_status", {"run_id": dataset["dataset_id"]}),
                ("stop_training", {"run_id": run_id}),
                ("list_runs", {"compare": [run_id]}),
                ("start_training", {"plan_id": plan["plan_id"], "request_key": "1"}),
                ("build_golden_set", {"dataset_id": dataset["dataset_id"]}),
                ("generate_text", {"model": run_id, "prompts": ["x"]}),
                ("compare_models", {"a": "demo", "b": run_id}),
            ):
                assert (await talk.error(tool, **arguments)).startswith("unknown_handle: "), tool
    finally:
        end_processes(Store(first))
        end_processes(Store(second))

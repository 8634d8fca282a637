"""The table follows the Hub, and nothing gets in that its own sizes do not explain."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.hub_stub import HubStub
from tests.unit.training.bases.hub_models import add_model
from tunesmith.training.bases.hub import look_up
from tunesmith.training.bases.refresh import main, refreshed
from tunesmith.training.bases.table import Table, read_table, write_table

LLAMA_1B = "meta-llama/Llama-3.2-1B"


def table_of(*ids: str) -> Table:
    table = read_table()
    return table.model_copy(update={"models": [entry for entry in table.models if entry.id in ids]})


def refresh(table: Table, *more: str) -> tuple[Table, list[str]]:
    return refreshed(table, more, look_up, date="2027-01-02", source="a stub")


def test_a_line_takes_gate_licence_template_and_context_from_the_hub(hub: HubStub) -> None:
    add_model(hub, LLAMA_1B, license="mit", chat_template="x", max_position_embeddings=4096)
    table, remarks = refresh(table_of(LLAMA_1B))
    (line,) = table.models
    assert (line.gated, line.license, line.chat_template, line.context) == (False, "mit", True, 4096)
    assert (line.family, line.parameters) == ("llama", 1_235_814_400)
    assert remarks == [f"{LLAMA_1B}: changed"]
    assert (table.date, table.source) == ("2027-01-02", "a stub")


def test_a_gated_line_that_this_token_may_not_read_keeps_its_shape(hub: HubStub) -> None:
    add_model(hub, LLAMA_1B, gated=True, license="llama3.2")
    before = table_of(LLAMA_1B)
    table, remarks = refresh(before)
    assert (table.models, remarks) == (before.models, [])


def test_a_new_model_is_added_with_its_shape(hub: HubStub) -> None:
    add_model(hub, "acme/new")
    table, remarks = refresh(table_of(), "acme/new")
    assert [line.id for line in table.models] == ["acme/new"]
    assert table.models[0].shape["hidden_size"] == 2048
    assert remarks == ["acme/new: new"]


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ({"parameters": 30_000_000_000}, "its shape, or what it reads, is not known"),
        ({"auto_map": {"AutoConfig": "x.Y"}}, "bring code of their own"),
        ({"architectures": ["BertModel"]}, "no causal language model"),
    ],
)
def test_what_cannot_be_a_base_model_gets_no_line(hub: HubStub, known: dict[str, object], why: str) -> None:
    add_model(hub, "acme/new", **known)
    assert refresh(table_of(), "acme/new") == (
        table_of().model_copy(update={"date": "2027-01-02", "source": "a stub"}),
        [f"acme/new: left out: {why}"],
    )


def test_a_line_that_the_hub_does_not_have_is_left_as_it_was_and_told(hub: HubStub) -> None:
    before = table_of(LLAMA_1B)
    table, remarks = refresh(before)
    assert table.models == before.models
    assert remarks == [f"{LLAMA_1B}: left as it was, the Hub answered 401"]


def test_the_script_writes_the_table_and_says_what_changed(
    hub: HubStub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "table.json"
    write_table(table_of(), path)
    add_model(hub, "acme/new")
    assert main(["acme/new"], path) == 0
    assert [entry.id for entry in read_table(path).models] == ["acme/new"]
    assert hub.url in read_table(path).source
    assert capsys.readouterr().out == "acme/new: new\n1 models written.\n"


def test_without_a_hub_the_table_stays_as_it_is(hub: HubStub, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    write_table(table_of(LLAMA_1B), path)
    before = path.read_bytes()
    hub.reset_next("/api/models", times=9)
    assert main([], path) == 1
    assert path.read_bytes() == before

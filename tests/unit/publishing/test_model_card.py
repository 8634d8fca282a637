"""The model card's words."""

from __future__ import annotations

import pytest
from huggingface_hub import ModelCard

from tests.unit.publishing.conftest import card_inputs, lineage
from tunesmith.publishing.model_card import model_card


def test_the_metadata_is_what_the_hub_reads() -> None:
    inputs = card_inputs(
        base_model="acme/base-7b",
        base_model_kind="hub",
        license="apache-2.0",
        language="en",
        dataset=lineage(source="acme/tickets", source_kind="hub"),
    )
    assert ModelCard(model_card(inputs, "alice/tickets")).data.to_dict() == {
        "base_model": "acme/base-7b",
        "datasets": ["acme/tickets"],
        "language": "en",
        "library_name": "peft",
        "license": "apache-2.0",
        "pipeline_tag": "text-generation",
        "tags": ["tunesmith", "fine-tuned", "lora", "peft"],
    }


def test_a_local_base_is_named_in_the_text_and_left_out_of_the_metadata() -> None:
    card = ModelCard(model_card(card_inputs(), "alice/tickets"))
    assert card.data.to_dict().keys() == {"library_name", "pipeline_tag", "tags"}
    assert "`acme-7b`" in card.text and "path/to/acme-7b" in card.text


def test_it_tells_lineage_configuration_and_scores() -> None:
    text = model_card(card_inputs(), "alice/tickets")
    for piece in ("ds-1", "tickets.csv", "instruction", "1200", "ab" * 32, "gold-1"):
        assert piece in text, piece
    assert "100 for development, 90 for the test" in text
    assert "| r | 16 |" in text and "| learning\\_rate | 0.0002 |" in text.replace(
        "learning_rate", "learning\\_rate"
    )
    assert "| accuracy | 0.91 (0.85 to 0.95) | 0.4 (0.3 to 0.5) |" in text
    assert "| peft version | 0.21.0 |" in text


def test_it_tells_how_to_load_it_and_its_limits() -> None:
    inputs = card_inputs(base_model="acme/base-7b", base_model_kind="hub", base_model_revision="abc123")
    text = model_card(inputs, "alice/tickets")
    assert 'AutoModelForCausalLM.from_pretrained("acme/base-7b", revision="abc123")' in text
    assert 'PeftModel.from_pretrained(base, "alice/tickets")' in text
    assert "## Limits" in text


def test_full_weights_load_without_peft() -> None:
    text = model_card(card_inputs(tuning_method="full"), "tickets")
    assert "library_name: transformers" in text and "PeftModel" not in text
    assert 'AutoModelForCausalLM.from_pretrained("<namespace>/tickets")' in text


def test_without_an_evaluation_it_says_so() -> None:
    assert "Not evaluated" in model_card(card_inputs(evaluations=(), golden_set=None), "alice/tickets")


@pytest.mark.parametrize("source", ["/home/maria/data/a.csv", r"C:\Users\maria\a.csv", "../maria/a.csv"])
def test_no_path_of_this_machine_is_in_it(source: str) -> None:
    text = model_card(card_inputs(dataset=lineage(source=source)), "alice/tickets")
    assert "a.csv" in text and "maria" not in text and "/home" not in text


def test_a_hostile_file_name_stays_one_cell_of_a_table() -> None:
    source = "/data/x\n---\nlicense: mit\n---\n| a | <script>alert(1)</script> [b](http://c)"
    text = model_card(card_inputs(dataset=lineage(source=source)), "alice/tickets")
    assert "<script>" not in text and "\nlicense: mit" not in text
    assert ModelCard(text).data.to_dict().get("license") is None

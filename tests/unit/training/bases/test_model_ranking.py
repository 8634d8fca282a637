"""The order of base models, and the reason that each is given."""

from __future__ import annotations

from typing import Any

from tunesmith.schemas.enums import TuningMethod
from tunesmith.schemas.plans import Fits
from tunesmith.training.bases.candidate import Candidate, family_of, matches
from tunesmith.training.bases.fit import MethodFit
from tunesmith.training.bases.ranking import PATIENCE_S, in_order, told
from tunesmith.training.bases.rows import ASSUMED, Extent, Rows, rows_of

LORA, QLORA = TuningMethod.LORA, TuningMethod.QLORA
CHATS = rows_of([Extent(1_196, 400, 796)] * 4, count=200, chats=True)


def model(name: str, size: float = 1e9, **known: Any) -> Candidate:
    told = {"source": "table", "context": 4096, "shape": None, "gated": False, "chat_template": True} | known
    return Candidate(id=name, family="x", parameters=int(size), **told)


def takes(fits: Fits, seconds: float = 60.0) -> dict[TuningMethod, MethodFit]:
    return {LORA: MethodFit(fits, 5 * 10**9, 3, seconds), QLORA: MethodFit("fits", 10**9, 3, seconds)}


def order(*pairs: tuple[Candidate, dict[TuningMethod, MethodFit]], rows: Rows = ASSUMED) -> list[str]:
    return [found.id for found in in_order([(one, fit.get(LORA)) for one, fit in pairs], rows)]


def test_what_fits_comes_first_then_tight_then_unknown_then_too_large() -> None:
    assert order(
        (model("large"), takes("does_not_fit")),
        (model("unknown"), {}),
        (model("tight"), takes("tight")),
        (model("fits"), takes("fits")),
    ) == ["fits", "tight", "unknown", "large"]


def test_the_largest_that_fits_comes_first_and_the_smallest_that_does_not() -> None:
    small, large = model("small", 1e8), model("large", 1e9)
    assert order((small, takes("fits")), (large, takes("fits"))) == ["large", "small"]
    assert order((small, takes("does_not_fit")), (large, takes("does_not_fit"))) == ["small", "large"]


def test_what_would_train_for_longer_than_a_night_comes_after_what_is_done_by_then() -> None:
    slow = takes("fits", 2 * PATIENCE_S)
    ordered = order(
        (model("week", 7e9), slow), (model("days", 1e9), slow), (model("hour", 1e8), takes("fits", 3600))
    )
    assert ordered == ["hour", "days", "week"]


def test_the_embedded_model_comes_after_all_others_that_fit() -> None:
    demo = model("demo", 1e6, source="demo")
    slow = takes("fits", 2 * PATIENCE_S)
    assert order((demo, takes("fits")), (model("days"), slow)) == ["days", "demo"]
    assert order((demo, takes("fits")), (model("large"), takes("does_not_fit"))) == ["demo", "large"]


def test_for_chats_a_model_with_a_chat_template_comes_first() -> None:
    plain, chat = model("plain", 2e9, chat_template=False), model("chat", 1e9)
    assert order((plain, takes("fits")), (chat, takes("fits")), rows=CHATS) == ["chat", "plain"]
    assert order((plain, takes("fits")), (chat, takes("fits"))) == ["plain", "chat"]


def test_the_note_says_why_and_what_to_know() -> None:
    found = told(model("a", gated=True, chat_template=False, context=256), takes("fits"), LORA, CHATS)
    assert found.note.startswith("Fits with lora in 5.0 GB; 3 epochs of 200 rows take about 60 s.")
    for word in ("Gated: access has to be requested", "HF_TOKEN", "no chat template", "it reads 256"):
        assert word in found.note
    assert (found.fit[LORA], found.memory[QLORA], found.estimated_seconds) == ("fits", 10**9, 60.0)


def test_what_is_too_large_is_told_with_the_methods_that_would_do() -> None:
    found = told(model("a"), takes("does_not_fit"), LORA, ASSUMED)
    assert found.note == "Too large here for lora, which takes 5.0 GB; possible: qlora."


def test_a_model_of_unknown_shape_has_no_fit_and_says_so() -> None:
    found = told(model("a"), {}, LORA, ASSUMED)
    assert (found.fit, found.memory, found.estimated_seconds) == ({}, {}, None)
    assert "configure_lora" in found.note


def test_every_word_of_a_query_has_to_be_there_however_it_is_spelled() -> None:
    qwen = model("Qwen/Qwen2.5-0.5B-Instruct", 5e8, license="apache-2.0")
    for query in (None, "", "qwen", "QWEN instruct", "qwen-2.5", "qwen 2.5 apache"):
        assert matches(qwen, query, None), query
    assert not matches(qwen, "qwen coder", None)
    assert matches(qwen, None, 5e8)
    assert not matches(qwen, None, 4e8)


def test_an_architecture_is_known_by_its_family() -> None:
    assert [family_of(name) for name in ("qwen3", "gemma3_text", "phi3", "smollm3", "gpt2", "")] == [
        "qwen", "gemma", "phi", "smollm", "gpt2", "unknown",
    ]  # fmt: skip

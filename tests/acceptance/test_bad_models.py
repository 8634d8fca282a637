"""Models and methods that do not go together: each a clear error before any training starts, or a stated correction."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import talk_to
from tests.training.architectures import small_model
from tests.training.tiny import byte_tokenizer
from tunesmith import demo

pytestmark = pytest.mark.anyio


def random_model(folder: Path, model_type: str, **special: Any) -> str:
    """A random model of an architecture with a byte-level tokenizer, of as many tokens as it has room for."""
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = byte_tokenizer(**special)
    model = small_model(model_type, "meta")
    assert model is not None
    config = model.config
    config.vocab_size = len(tokenizer)
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def demo_copy(folder: Path, config: dict[str, Any] | None = None) -> Path:
    shutil.copytree(demo.base_model_path(), folder)
    found = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**found, **(config or {})}))
    return folder


async def configured(store: Path, rows: str, **arguments: Any) -> Any:
    """The error's text, or the plan."""
    async with talk_to(store) as talk:
        dataset = await talk("load_dataset", source=str(store.parent / rows))
        handle = dataset["dataset_id"]
        if arguments.pop("refused", True):
            return await talk.error("configure_lora", dataset_id=handle, **arguments)
        return await talk("configure_lora", dataset_id=handle, **arguments)


async def test_a_vocabulary_that_does_not_match_its_embedding_is_refused(shared_store):
    size = json.loads((demo.base_model_path() / "config.json").read_text())["vocab_size"]
    config = {"vocab_size": size + 8}
    grown = demo_copy(shared_store.parent / "grown", config)
    text = await configured(shared_store, "instruction.jsonl", base_model=str(grown))

    assert text.startswith("unsupported_model: ")
    assert str(size + 8) in text
    assert str(size) in text
    assert "vocab_size" in text


async def test_a_tokenizer_of_more_tokens_than_the_model_has_embeddings_for_is_refused(shared_store):
    folder = demo_copy(shared_store.parent / "wordy")
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["zyzzyva", "qoph"])
    tokenizer.save_pretrained(folder)
    text = await configured(shared_store, "instruction.jsonl", base_model=str(folder))

    assert text.startswith("unsupported_model: ")
    assert "no embedding" in text


async def test_a_tokenizer_without_an_end_is_refused(shared_store):
    folder = demo_copy(shared_store.parent / "endless")
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (folder / name).exists():
            found = json.loads((folder / name).read_text())
            found.pop("eos_token", None)
            (folder / name).write_text(json.dumps(found))
    text = await configured(shared_store, "instruction.jsonl", base_model=str(folder))

    assert text.startswith("unsupported_model: ")
    assert "stop" in text


async def test_prefix_tuning_on_an_architecture_that_cannot_is_refused_with_the_method_that_can(shared_store):
    folder = random_model(shared_store.parent / "mamba", "mamba")
    text = await configured(
        shared_store, "instruction.jsonl", base_model=folder, tuning_method="prefix_tuning"
    )

    assert text.startswith("unsupported_model: ")
    assert "prefix_tuning" in text
    assert "tuning_method='lora'" in text


async def test_an_architecture_without_known_names_lists_those_it_has(shared_store, tmp_path):
    folder = random_model(shared_store.parent / "moshi", "moshi")
    text = await configured(shared_store, "instruction.jsonl", base_model=folder)

    assert text.startswith("unsupported_model: ")
    assert "fc1" in text
    assert "all-linear" in text


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ({"target_modules": ["no_such_layer"]}, "invalid_argument", ("no_such_layer", "q_proj")),
        ({"r": 4096}, "invalid_argument", ("r is 4096", "at most")),
        ({"learning_rate": 10}, "invalid_argument", ("learning_rate is 10",)),
        ({"max_length": 100_000}, "invalid_argument", ("max_length is 100000",)),
        ({"init_lora_weights": "pissa", "use_dora": True}, "invalid_argument", ("use_dora",)),
        ({"tuning_method": "qlora", "init_lora_weights": "olora"}, "invalid_argument", ("olora",)),
    ],
    ids=str,
)
async def test_a_number_that_no_model_could_use_is_refused_with_what_it_could(
    shared_store, arguments, code, words
):
    text = await configured(shared_store, "instruction.jsonl", base_model="demo", **arguments)

    assert text.startswith(f"{code}: ")
    for word in words:
        assert word in text


async def test_a_chat_dataset_for_a_model_without_a_template_gets_one_and_says_so(shared_store):
    plan = await configured(
        shared_store,
        "chat.jsonl",
        refused=False,
        base_model=random_model(shared_store.parent / "plain", "llama"),
    )

    assert plan["config"]["chat_template"] == "tunesmith"
    assert "none" in plan["reasons"]["chat_template"]
    assert "⟦" in plan["example"]["untrusted_text"]

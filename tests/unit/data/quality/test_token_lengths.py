"""Lengths are told in the tokens of the model that is to be tuned, where it is known."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from tests.unit.data.inputs import Load, write_jsonl
from tunesmith.data.quality.token_lengths import lengths_in
from tunesmith.data.rows import Message, Row
from tunesmith.demo import base_model_path
from tunesmith.schemas.datasets import ModelName
from tunesmith.schemas.errors import ModelNotFound, UnsafeModel
from tunesmith.training.model import load_tokenizer

DEMO = ModelName(name="demo", kind="demo", path=None)
WORDS = "the cat sat on a mat and "


def test_tokens_are_those_of_the_tokenizer() -> None:
    lengths = lengths_in(DEMO)
    assert lengths is not None
    tokenizer = load_tokenizer(base_model_path())
    both = len(tokenizer.encode("Hello, you", add_special_tokens=False)) + len(
        tokenizer.encode("there", add_special_tokens=False)
    )
    assert pickle.loads(pickle.dumps(lengths)).count(Row(1, "Hello, you", "there")) == both
    chat = (Message("user", "Hello, you"), Message("assistant", "there"))
    assert lengths.count(Row(1, messages=chat)) == both


def test_rows_that_pass_the_context_are_told_and_only_these(tmp_path: Path, load: Load) -> None:
    config = json.loads((base_model_path() / "config.json").read_text())
    context = config["max_position_embeddings"]
    tokenizer = load_tokenizer(base_model_path())
    each = len(tokenizer.encode(WORDS * 40, add_special_tokens=False)) / 40
    fits, passes = int(context / each * 0.9), int(context / each * 1.2)
    rows = [{"prompt": f"Say {number}", "completion": f"It is {number}."} for number in range(30)]
    rows[4]["completion"] = WORDS * fits
    rows[9]["completion"] = WORDS * passes
    path = write_jsonl(tmp_path / "a.jsonl", rows)
    check = load(path, base_model=DEMO).quality["too_long"]
    assert (check.kinds["over_context"], 10 in check.rows) == (1, True)
    assert check.figures["context_tokens"] == context < check.figures["most_tokens"]
    assert check.figures["median_tokens"] < 20
    assert check.note is not None
    assert "tokens" in check.note
    assert "over_context" not in load(path).quality["too_long"].kinds


def test_a_model_that_cannot_be_had_is_told(tmp_path: Path) -> None:
    missing = ModelName(name="x", kind="local", path=str(tmp_path))
    with pytest.raises(ModelNotFound):
        lengths_in(missing)


def test_no_code_of_a_tokenizer_is_run(tmp_path: Path) -> None:
    for file in base_model_path().iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({**config, "auto_map": {"AutoTokenizer": "a.B"}})
    )
    with pytest.raises(UnsafeModel):
        lengths_in(ModelName(name="x", kind="local", path=str(tmp_path)))

"""The embedded demo: its committed files are what its generators make."""

import hashlib
import json
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from tunesmith.demo import base_model_path, corpus, dataset_path, task

CORPUS_HEAD_BYTES = 100_000
CORPUS_HEAD_SHA256 = "bc4b05d13a9973bb9a77be8842159aea093ee004a6c9094914f8f9c7646e1a7e"


@pytest.fixture(scope="module")
def corpus_head() -> bytes:
    text = "\n\n".join(islice(corpus.documents(), 1000)).encode()
    assert len(text) > CORPUS_HEAD_BYTES
    return text[:CORPUS_HEAD_BYTES]


@pytest.fixture(scope="module")
def committed_rows() -> list[dict[str, str]]:
    return [json.loads(line) for line in dataset_path().read_text(encoding="utf-8").splitlines()]


def test_the_committed_data_set_is_what_its_generator_makes() -> None:
    assert dataset_path().read_bytes() == task.as_jsonl().encode()


def test_no_two_rows_ask_the_same_thing(committed_rows: list[dict[str, str]]) -> None:
    assert len(committed_rows) == task.ROWS
    assert len({row["instruction"] for row in committed_rows}) == len(committed_rows)


def test_another_seed_makes_other_rows(committed_rows: list[dict[str, str]]) -> None:
    known = {row["instruction"] for row in committed_rows}
    assert not known & {row["instruction"] for row in task.rows(seed=task.SEED + 1)}


def test_the_data_set_is_small() -> None:
    assert dataset_path().stat().st_size < 200_000


def test_the_pretraining_text_is_the_same_everywhere(corpus_head: bytes) -> None:
    assert hashlib.sha256(corpus_head).hexdigest() == CORPUS_HEAD_SHA256


def test_the_pretraining_text_never_shows_the_demo_format() -> None:
    text = "\n".join(islice(corpus.documents(), 5000))
    for shown_only_in_the_demo in ("item =", "count =", "buyer =", "###", "as a record", "Response"):
        assert shown_only_in_the_demo not in text


def test_the_base_is_below_two_megabytes_and_holds_no_pickle() -> None:
    files = [path for path in base_model_path().rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 2_000_000
    assert {path.suffix for path in files} == {".json", ".safetensors"}


def test_the_base_needs_no_remote_code_and_brings_no_chat_template() -> None:
    for path in base_model_path().glob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert "auto_map" not in text
        assert "chat_template" not in text


def test_asking_for_the_paths_does_not_load_torch() -> None:
    code = (
        "import sys; from tunesmith import demo; demo.base_model_path(); demo.dataset_path(); "
        "sys.exit(sum(name in sys.modules for name in ('torch', 'transformers', 'tokenizers')))"
    )
    source = Path(sys.modules["tunesmith"].__path__[0]).parent
    done = subprocess.run([sys.executable, "-c", code], cwd=source, timeout=30, check=False)
    assert done.returncode == 0


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    transformers = pytest.importorskip("transformers")
    return transformers.AutoTokenizer.from_pretrained(base_model_path())


@pytest.mark.parametrize(
    "text", ["plain words", "  two  spaces\t\n\n\n", "naïve 東京 🙂 \u0301", "a=b;c:12,345.6\r\n"]
)
def test_any_text_survives_the_tokenizer(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_a_prompt_meets_its_response_in_the_same_tokens_apart_or_together(
    tokenizer: Any, committed_rows: list[dict[str, str]]
) -> None:
    for row in committed_rows[:50]:
        prompt = f"### Instruction\n{row['instruction']}\n\n### Response\n"
        apart = tokenizer(prompt)["input_ids"] + tokenizer(row["response"])["input_ids"]
        assert tokenizer(prompt + row["response"])["input_ids"] == apart


def test_the_end_token_and_the_padding_token_differ(tokenizer: Any) -> None:
    assert tokenizer.eos_token == "<|eos|>"
    assert tokenizer.pad_token == "<|pad|>"
    assert tokenizer.eos_token_id != tokenizer.pad_token_id


def test_the_tokenizer_hands_over_only_what_the_model_takes(tokenizer: Any) -> None:
    assert set(tokenizer("any text")) == {"input_ids", "attention_mask"}


def test_pretraining_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from tunesmith.demo.pretrain import Recipe, pretrain

    tiny = Recipe(
        drill_steps=1, single_tokens=500, packed_tokens=1024, tokenizer_documents=100, held_out_documents=5
    )
    losses = [pretrain(tmp_path / name, tiny) for name in ("first", "second")]
    assert losses[0] == losses[1]
    for name in ("model.safetensors", "tokenizer.json", "tokenizer_config.json", "config.json"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()

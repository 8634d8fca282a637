from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.training.tiny import EOS, byte_tokenizer
from tunesmith.schemas.errors import HubAuth, HubUnavailable, ModelNotFound, UnsafeModel, UnsupportedModel
from tunesmith.training.base_model import check_model_folder, fingerprint, resolve_base
from tunesmith.training.model import fit_token_ids, load_model, load_tokenizer


@pytest.fixture
def model(base: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(base, tmp_path / "model"))


def change(path: Path, **entries: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def test_a_causal_model_with_safetensors_is_fine(model: Path) -> None:
    check_model_folder(model)


def test_a_folder_without_a_model_is_told_as_such(tmp_path: Path, model: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"config\.json"):
        check_model_folder(tmp_path)
    with pytest.raises(ModelNotFound):
        resolve_base("local", "gone", str(tmp_path / "gone"), None)
    (model / "model.safetensors").unlink()
    with pytest.raises(ModelNotFound, match="weights"):
        check_model_folder(model)


@pytest.mark.row("S8")
@pytest.mark.parametrize("name", ["pytorch_model.bin", "weights.pt", "weights.pkl"])
def test_weights_that_are_only_pickles_are_refused(name: str, model: Path) -> None:
    (model / "model.safetensors").rename(model / name)

    with pytest.raises(UnsafeModel, match="pickle"):
        check_model_folder(model)


@pytest.mark.parametrize(
    ("file", "entries"),
    [
        ("config.json", {"auto_map": {"AutoModelForCausalLM": "evil.Model"}}),
        ("config.json", {"text_config": {"nested": [{"auto_map": {"AutoModel": "evil.Model"}}]}}),
        ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": "evil.Tokenizer"}}),
        ("config.json", {"attn_implementation": "somebody/kernels"}),
    ],
)
def test_code_that_comes_with_a_model_is_refused_wherever_it_is_named(
    file: str, entries: dict[str, Any], model: Path
) -> None:
    change(model / file, **entries)

    with pytest.raises(UnsafeModel, match="code of its own"):
        check_model_folder(model)


def test_an_empty_list_of_code_is_none(model: Path) -> None:
    change(model / "config.json", auto_map={})
    check_model_folder(model)


@pytest.mark.parametrize(
    "entries",
    [
        {"architectures": ["BertForMaskedLM"], "model_type": "bert"},
        {"architectures": ["T5ForConditionalGeneration"], "model_type": "t5"},
        {"architectures": ["MadeUpForCausalLM"], "model_type": "made_up"},
        {"architectures": None, "model_type": "clip"},
    ],
)
def test_what_is_not_a_causal_language_model_is_refused(entries: dict[str, Any], model: Path) -> None:
    change(model / "config.json", **entries)

    with pytest.raises(UnsupportedModel, match="causal"):
        check_model_folder(model)


def test_an_encoder_with_a_causal_head_is_refused_unless_it_hides_what_comes_next(model: Path) -> None:
    change(model / "config.json", architectures=["BertLMHeadModel"], model_type="bert")
    with pytest.raises(UnsupportedModel, match="both directions"):
        check_model_folder(model)
    change(model / "config.json", is_decoder=True)
    check_model_folder(model)


def test_a_damaged_weights_file_is_told_before_anything_is_loaded(model: Path) -> None:
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])

    with pytest.raises(UnsupportedModel, match="damaged"):
        resolve_base("local", "model", str(model), None)


def test_a_missing_shard_is_told_by_name(model: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (model / "model.safetensors.index.json").write_text(json.dumps(index))

    with pytest.raises(ModelNotFound, match=r"model-2\.safetensors"):
        check_model_folder(model)


def test_another_layout_of_the_weights_beside_them_does_not_count(model: Path) -> None:
    before = fingerprint(model)
    shutil.copy(model / "model.safetensors", model / "consolidated.safetensors")

    assert fingerprint(model) == before


def test_a_config_that_is_not_json_is_told(model: Path) -> None:
    (model / "config.json").write_text("{")

    with pytest.raises(UnsupportedModel, match="JSON"):
        check_model_folder(model)


def test_the_fingerprint_follows_the_configuration_and_the_weights_heads(model: Path) -> None:
    before = fingerprint(model)
    assert fingerprint(model) == before
    change(model / "config.json", rms_norm_eps=1e-4)
    changed = fingerprint(model)
    assert changed != before
    weights = model / "model.safetensors"
    raw = weights.read_bytes()
    weights.write_bytes(raw.replace(b'"format":"pt"', b'"format":"np"'))
    assert fingerprint(model) != changed


def test_the_hub_is_asked_for_weights_and_text_files_only(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    asked: dict[str, Any] = {}

    def snapshot_download(name: str, **keywords: Any) -> str:
        asked.update(keywords, name=name)
        return str(base)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    resolved = resolve_base("hub", "someone/model", None, "main")

    assert resolved.revision == base.name
    assert not [
        pattern for pattern in asked["allow_patterns"] if pattern.endswith((".bin", ".py", ".pt", "*"))
    ]


def test_each_way_the_hub_says_no_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub
    from huggingface_hub import errors

    response: Any = SimpleNamespace(status_code=404, headers={}, request=None)
    cases = [
        (errors.RepositoryNotFoundError("no", response=response), ModelNotFound),
        (errors.RevisionNotFoundError("no", response=response), ModelNotFound),
        (errors.GatedRepoError("no", response=response), HubAuth),
        (errors.LocalEntryNotFoundError("offline"), HubUnavailable),
        (ConnectionError("refused"), HubUnavailable),
    ]
    for raised, told in cases:

        def fail(*_: Any, raised: Exception = raised, **__: Any) -> None:
            raise raised

        monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
        with pytest.raises(told):
            resolve_base("hub", "someone/model", None, None)


def saved(tokenizer: Any, folder: Path, vocabulary: int | None = None) -> Path:
    tokenizer.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"vocab_size": vocabulary or len(tokenizer)}))
    return folder


def test_a_missing_padding_token_is_never_replaced_by_the_end_token(tmp_path: Path) -> None:
    bos = load_tokenizer(saved(byte_tokenizer(pad=None, bos="<s>"), tmp_path / "bos"))
    assert bos.pad_token == "<s>"
    spare = load_tokenizer(saved(byte_tokenizer(pad=None), tmp_path / "spare", vocabulary=300))
    assert (spare.pad_token, spare.pad_token_id) == ("<|pad|>", len(byte_tokenizer(pad=None)))
    none = load_tokenizer(saved(byte_tokenizer(pad=None), tmp_path / "none"))
    assert none.pad_token == "ÿ", "the byte 255, which no UTF-8 text contains"
    assert len(none) == len(byte_tokenizer(pad=None)), "no embedding is resized"
    assert none.pad_token_id not in none.encode("ÿÿ", split_special_tokens=True)


def test_padding_with_the_end_token_is_undone(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer(pad=None, bos="<s>")
    tokenizer.pad_token = EOS

    assert load_tokenizer(saved(tokenizer, tmp_path)).pad_token == "<s>"


def test_a_padding_token_of_its_own_stays(base: Path) -> None:
    assert load_tokenizer(base).pad_token == "<|pad|>"


def test_a_tokenizer_that_cannot_be_read_is_told(model: Path) -> None:
    (model / "tokenizer.json").write_text("{")

    with pytest.raises(UnsupportedModel, match="tokenizer"):
        load_tokenizer(model)


def test_a_loaded_model_knows_padding_and_keeps_every_end_token(base: Path) -> None:
    tokenizer = load_tokenizer(base)
    model = load_model(base, precision="float32", quantization=None, for_training=False)
    model.generation_config.eos_token_id = [7, 9]
    fit_token_ids(model, tokenizer)

    assert model.generation_config.pad_token_id == tokenizer.pad_token_id
    assert model.generation_config.eos_token_id == [tokenizer.eos_token_id, 7, 9]
    assert not model.training


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_model_is_loaded_in_the_precision_that_was_asked_for(precision: Any, base: Path) -> None:
    model = load_model(base, precision=precision, quantization=None, for_training=True)

    assert str(model.dtype) == f"torch.{precision}"
    assert model.training


def test_ordinary_tokens_without_an_embedding_are_refused_and_a_special_one_that_nothing_writes_is_not(
    tmp_path: Path,
) -> None:
    """Gemma 3's text models have one special token more than rows."""
    rows = len(byte_tokenizer())
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<picture>"]})
    assert len(load_tokenizer(saved(tokenizer, tmp_path / "special", vocabulary=rows))) == rows + 1
    tokenizer.chat_template = "{{ '<picture>' }}"
    with pytest.raises(UnsupportedModel, match="no embedding"):
        load_tokenizer(saved(tokenizer, tmp_path / "written", vocabulary=rows))
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens(["zyzzyva"])
    with pytest.raises(UnsupportedModel, match="1 tokens"):
        load_tokenizer(saved(tokenizer, tmp_path / "ordinary", vocabulary=rows))


def test_a_padding_token_without_an_embedding_gives_way_to_one_that_has(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer(pad=None, bos="<s>")
    rows = len(tokenizer)
    tokenizer.add_special_tokens({"pad_token": "<late>"})

    assert load_tokenizer(saved(tokenizer, tmp_path, vocabulary=rows)).pad_token == "<s>"


def test_weights_that_config_speaks_of_and_the_file_lacks_are_never_made_up(model: Path) -> None:
    """transformers would fill them with noise and warn in a log that nobody reads."""
    change(model / "config.json", num_hidden_layers=3)

    with pytest.raises(UnsupportedModel, match=r"layers\.2"):
        load_model(model, precision="float32", quantization=None, for_training=False)

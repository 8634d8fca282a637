"""Models that are on this machine already: found where they are, and refused where configure_lora would refuse them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants

from tunesmith import demo
from tunesmith.training.bases.local import cached_candidates, demo_candidate, local_candidates


def place(folder: Path) -> Path:
    """A copy of the embedded model."""
    shutil.copytree(demo.base_model_path(), folder)
    return folder


def ids(root: Path, store: Path | None = None) -> list[str]:
    found = local_candidates([root], store or root / "store")
    return [str(Path(candidate.id).relative_to(root)) for candidate in found]


def test_models_below_a_root_are_found_nearest_first_and_links_are_not_followed(tmp_path: Path) -> None:
    place(tmp_path / "b" / "deep" / "model")
    near = place(tmp_path / "near")
    (tmp_path / "link").symlink_to(near)
    place(tmp_path / ".hidden")
    place(tmp_path / "store" / "runs" / "adapter")
    assert ids(tmp_path) == ["near", "b/deep/model"]


def test_a_root_may_be_a_model_itself(tmp_path: Path) -> None:
    assert ids(place(tmp_path / "model")) == ["."]


def test_what_lies_deeper_than_anybody_keeps_models_is_not_looked_for(tmp_path: Path) -> None:
    place(tmp_path / "1" / "2" / "3" / "4" / "5")
    assert ids(tmp_path) == []


def test_a_model_that_would_be_refused_is_left_out(tmp_path: Path) -> None:
    for name, change in (
        ("code", {"auto_map": {"AutoModelForCausalLM": "modeling.Model"}}),
        ("encoder", {"architectures": ["BertModel"], "model_type": "bert"}),
    ):
        config = place(tmp_path / name) / "config.json"
        config.write_text(json.dumps({**json.loads(config.read_text()), **change}))
    weights = place(tmp_path / "cut") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    (place(tmp_path / "sound") / "chat_template.jinja").write_text("x")
    (found,) = local_candidates([tmp_path], tmp_path / "store")
    assert Path(found.id).name == "sound"
    assert found.chat_template is True


def test_size_context_and_shape_come_from_the_files(tmp_path: Path) -> None:
    (found,) = local_candidates([place(tmp_path / "model")], tmp_path / "store")
    assert (found.source, found.context, found.chat_template) == ("local", 512, False)
    assert found.parameters == found.shape.parameters if found.shape else False
    assert found.id == str(tmp_path / "model")


def test_the_embedded_model_is_named_as_base_model_takes_it() -> None:
    assert (demo_candidate().id, demo_candidate().source) == ("demo", "demo")


def test_an_architecture_of_another_make_is_measured_from_its_config(tmp_path: Path) -> None:
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(n_embd=16, n_layer=2, n_head=2, vocab_size=300, n_positions=640)
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    (found,) = local_candidates([tmp_path], tmp_path / "store")
    assert found.shape is None  # half of its weights are its position table
    assert found.facts is not None
    assert (found.facts.layers, found.facts.context) == (2, 640)


def test_the_hub_cache_counts_what_is_whole_on_its_main_branch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    whole, part = tmp_path / "models--acme--whole", tmp_path / "models--acme--part"
    for repository in (whole, part):
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text("abc")
        place(repository / "snapshots" / "abc")
    (part / "snapshots" / "abc" / "model.safetensors").unlink()
    (tmp_path / "models--acme--no-branch").mkdir()
    (found,) = cached_candidates()
    assert (found.id, found.source) == ("acme/whole", "cache")


def test_a_machine_without_a_hub_cache_has_none_of_its_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "nothing"))
    assert cached_candidates() == []

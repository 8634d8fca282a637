"""Which files are chosen, and what is taken out of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.unit.publishing.conftest import EXPECTED, PLANTED, ROW
from tunesmith.publishing.allowlist import chosen_files, is_published
from tunesmith.publishing.local_paths import publishable_config, without_paths
from tunesmith.schemas.errors import InvalidArgument, UnsafePath


def chosen(folder: Path) -> dict[str, bytes]:
    with chosen_files(folder, "# card\n", "local") as uploads:
        return {
            upload.file.path: Path(upload.content).read_bytes()
            if isinstance(upload.content, str)
            else upload.content
            for upload in uploads
        }


def test_only_named_files_are_chosen_and_the_card_is_ours(folder: Path) -> None:
    files = chosen(folder)
    assert sorted(files) == EXPECTED
    assert files["README.md"] == b"# card\n"


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors",
        "model-00001-of-00002.safetensors",
        "model.safetensors.index.json",
        "config.json",
        "merges.txt",
        "vocab.json",
        "chat_template.jinja",
        "special_tokens_map.json",
        "generation_config.json",
    ],
)
def test_a_full_models_files_are_published(name: str) -> None:
    assert is_published(name)


@pytest.mark.parametrize(
    "name",
    [
        *PLANTED,
        "../model.safetensors",
        "model.safetensors\n",
        "Model.safetensors",
        "x/config.json",
        "events.out",
        "token",
        "golden.parquet",
        "lease.json",
        ".netrc",
        "tokenizer.pkl",
        "config.json~",
        "model.py",
    ],
)
def test_nothing_else_is_published(name: str) -> None:
    assert not is_published(name)


def test_a_link_with_a_published_name_is_refused_and_other_links_are_left_alone(
    folder: Path, tmp_path: Path
) -> None:
    (folder / "latest").symlink_to("/")
    assert sorted(chosen(folder)) == EXPECTED
    (tmp_path / "secret").write_text("{}")
    (folder / "config.json").symlink_to(tmp_path / "secret")
    with pytest.raises(UnsafePath, match=r"config\.json is a symbolic link"):
        chosen(folder)


def test_a_link_to_a_run_is_not_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(UnsafePath, match="symbolic link"):
        chosen(tmp_path / "link")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_with_a_published_name_is_refused_without_waiting(folder: Path) -> None:
    os.mkfifo(folder / "merges.txt")
    with pytest.raises(UnsafePath, match=r"merges\.txt is not a regular file"):
        chosen(folder)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_weights_swapped_for_a_link_after_the_choice_are_still_the_chosen_ones(
    folder: Path, tmp_path: Path
) -> None:
    weights = folder / "adapter_model.safetensors"
    content = weights.read_bytes()
    with chosen_files(folder, "", "local") as uploads:
        weights.unlink()
        weights.symlink_to(tmp_path / "elsewhere")
        source = next(upload.content for upload in uploads if upload.file.path == weights.name)
        assert isinstance(source, str) and Path(source).read_bytes() == content


def test_a_folder_without_weights_is_not_a_finished_run(folder: Path) -> None:
    (folder / "adapter_model.safetensors").unlink()
    with pytest.raises(InvalidArgument, match="no weights"):
        chosen(folder)


def test_a_missing_folder_is_an_invalid_argument(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="no folder"):
        chosen(tmp_path / "nothing")


def test_a_damaged_configuration_is_told_without_quoting_it(folder: Path) -> None:
    (folder / "adapter_config.json").write_text(f'{{"{ROW}')
    with pytest.raises(InvalidArgument, match="adapter_config") as caught:
        chosen(folder)
    assert ROW not in str(caught.value)


def test_the_published_plan_has_neither_the_example_nor_local_paths(folder: Path) -> None:
    plan: dict[str, Any] = json.loads(chosen(folder)["plan.json"])
    assert "example" not in plan and "tomorrow" not in plan
    assert plan["config"]["base_model"] == plan["config"]["base_model_path"] == "acme-7b"
    assert plan["config"]["learning_rate"] == 2e-4
    assert plan["reasons"] == {"r": "the model in acme-7b is small", "save": "kept in x."}
    assert plan["warnings"] == ["see https://example.org/a/b and 3 tokens/s"]


def test_configurations_name_the_base_by_its_folder(folder: Path) -> None:
    files = chosen(folder)
    assert json.loads(files["adapter_config.json"])["base_model_name_or_path"] == "acme-7b"
    assert json.loads(files["tokenizer_config.json"])["name_or_path"] == "acme-7b"


def test_a_base_from_the_hub_keeps_its_id_and_its_configuration_its_bytes() -> None:
    stored = b'{"base_model_name_or_path":"acme/base-7b", "chat_template": "/think", "vocab_file": null}'
    assert publishable_config(stored, "hub") == stored


def test_a_path_into_the_download_cache_becomes_the_id_it_came_from() -> None:
    path = "/home/maria/.cache/huggingface/hub/models--acme--base-7b/snapshots/0123abcd"
    stored = json.dumps({"base_model_name_or_path": path}).encode()
    assert json.loads(publishable_config(stored, "hub")) == {"base_model_name_or_path": "acme/base-7b"}


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("/data/models/x", "x"),
        ("~/models/x/", "x"),
        (r"C:\Users\maria\models\x", "x"),
        ("file:///srv/x", "x"),
        ("../models/x", "x"),
        (r"found at D:\a\b\c.csv, twice", "found at c.csv, twice"),
        ("(in '/srv/a/b.jsonl')", "(in 'b.jsonl')"),
        ("q_proj and/or v_proj at 12 tokens/s", "q_proj and/or v_proj at 12 tokens/s"),
        ("https://huggingface.co/a/b", "https://huggingface.co/a/b"),
        ("acme/base-7b", "acme/base-7b"),
    ],
)
def test_paths_become_their_last_part_and_other_slashes_stay(text: str, published: str) -> None:
    assert without_paths(text) == published

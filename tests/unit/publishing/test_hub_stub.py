"""The stub against the real clients that other tests point at it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

from tests.support.hub_stub import HubStub
from tests.unit.publishing.conftest import CANARY

LOAD = """
from datasets import load_dataset
print(load_dataset("acme/rows", split="train")["prompt"][:])
print(load_dataset("acme/rows", split="train", streaming=True).take(1).column_names)
"""


def test_datasets_loads_a_private_repository_from_it(tmp_path: Path) -> None:
    rows = b'{"prompt": "a", "completion": "b"}\n{"prompt": "c", "completion": "d"}\n'
    with HubStub() as hub:
        hub.add_repo("acme/rows", type="dataset", private=True, files={"train.jsonl": rows})
        there = {"HF_ENDPOINT": hub.url, "HF_TOKEN": hub.token, "HF_HOME": str(tmp_path)}
        here = {"HF_UPDATE_DOWNLOAD_COUNTS": "0", "HF_HUB_DISABLE_XET": "1", "NO_PROXY": "127.0.0.1"}
        done = subprocess.run(
            [sys.executable, "-c", LOAD],
            env={**os.environ, **there, **here},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["['a', 'c']", "['prompt', 'completion']"]


def test_a_file_can_be_downloaded_and_listed(hub: HubStub, tmp_path: Path) -> None:
    hub.add_repo("acme/model", files={"a/b.safetensors": b"weights", "config.json": b"{}"})
    api = HfApi(endpoint=hub.url, token=CANARY)
    found = api.hf_hub_download("acme/model", "a/b.safetensors", cache_dir=tmp_path)
    assert Path(found).read_bytes() == b"weights"
    assert api.list_repo_files("acme/model") == [".gitattributes", "a/b.safetensors", "config.json"]
    assert [item.path for item in api.list_repo_tree("acme/model", "a")] == ["a/b.safetensors"]
    assert api.get_paths_info("acme/model", ["config.json", "none"])[0].path == "config.json"
    assert [branch.name for branch in api.list_repo_refs("acme/model").branches] == ["main"]
    assert len(api.list_repo_commits("acme/model")) == 2


def test_a_private_repository_of_others_does_not_seem_to_exist(hub: HubStub) -> None:
    hub.add_repo("bob/model", private=True)
    hub.add_repo("acme/model")
    api = HfApi(endpoint=hub.url, token=CANARY)
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("bob/model")
    with pytest.raises(RevisionNotFoundError):
        api.model_info("acme/model", revision="none")


def test_a_stub_that_requires_a_token_answers_nobody_without_one() -> None:
    with HubStub(require_token=True) as hub:
        hub.add_repo("acme/model")
        assert HfApi(endpoint=hub.url, token=hub.token).model_info("acme/model").private is False
        with pytest.raises(Exception, match="401"):
            HfApi(endpoint=hub.url, token=False).model_info("acme/model")

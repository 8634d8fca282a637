"""A finished run's folder with things planted beside it, and a Hub to push it to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("huggingface_hub")

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.utils import _http

from tests.support.hub_stub import HubStub
from tunesmith.publishing.backoff import Backoff
from tunesmith.publishing.model_card import CardInputs, CardScores, DatasetLineage, GoldenLineage
from tunesmith.publishing.push import PushInputs, PushOutcome, push
from tunesmith.schemas.evaluations import Score

CANARY = "hf_CanaryCanaryCanaryCanaryCanary42"
ROW = "MARIA'S SECRET ROW"
PLANTED = {
    "optimizer.pt": b"\x80\x04optimizer",
    "scheduler.pt": b"\x80\x04",
    "training_args.bin": b"\x80\x04pickle",
    "adapter_model.bin": b"\x80\x04pickle",
    "pytorch_model.bin": b"\x80\x04pickle",
    "rng_state.pth": b"\x80\x04",
    "train.jsonl": ROW.encode(),
    "train.parquet": b"PAR1",
    ".env": f"HF_TOKEN={CANARY}".encode(),
    "journal.jsonl": b"{}\n",
    "trainer_state.json": b"{}",
    "worker.log": b"log",
    "README.md": b"base_model: /home/maria/models/acme-7b\n",
    "model.safetensors.bak": b"x",
    "my-adapter_model.safetensors": b"x",
    "vocab.pkl": b"\x80\x04",
}
EXPECTED = ["README.md", "adapter_config.json", "adapter_model.safetensors", "plan.json"]
EXPECTED += ["tokenizer.json", "tokenizer_config.json"]

PLAN = {
    "schema_version": 1,
    "plan_id": "plan-1",
    "dataset_id": "ds-1",
    "config": {
        "base_model": "/home/maria/my models/acme-7b",
        "base_model_kind": "local",
        "base_model_path": "/home/maria/my models/acme-7b",
        "learning_rate": 2e-4,
    },
    "reasons": {
        "r": "the model in /home/maria/my models/acme-7b is small",
        "save": "kept in /srv/store/runs/x.",
    },
    "warnings": ["see https://example.org/a/b and 3 tokens/s"],
    "example": {"tokens": 9, "loss_tokens": 3, "untrusted_text": ROW},
    "tomorrow": "unknown",
}


def lineage(**changes: Any) -> DatasetLineage:
    known: dict[str, Any] = {
        "dataset_id": "ds-1",
        "source": "/home/maria/data/tickets.csv",
        "source_kind": "local",
        "format": "instruction",
        "rows": 1200,
        "fingerprint": "ab" * 32,
    }
    return DatasetLineage(**(known | changes))


def card_inputs(**changes: Any) -> CardInputs:
    known: dict[str, Any] = {
        "base_model": "/home/maria/my models/acme-7b",
        "base_model_kind": "local",
        "tuning_method": "lora",
        "dataset": lineage(),
        "run_id": "run-1",
        "golden_set": GoldenLineage("gold-1", 100, 90),
        "configuration": {"base_model_path": "/home/maria/my models/acme-7b", "r": 16, "learning_rate": 2e-4},
        "evaluations": (
            CardScores(
                half="test",
                rows=90,
                scores={"accuracy": Score(value=0.91, low=0.85, high=0.95)},
                baseline={"accuracy": Score(value=0.4, low=0.3, high=0.5)},
            ),
        ),
        "versions": {"peft": "0.21.0"},
    }
    return CardInputs(**(known | changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a finished run leaves: its adapter, and much that must never be published."""
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(bytes(range(256)) * 64)
    config = {"base_model_name_or_path": "/home/maria/my models/acme-7b", "r": 16}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text('{"model": {}}')
    (folder / "tokenizer_config.json").write_text('{"name_or_path": "/home/maria/my models/acme-7b"}')
    (folder / "plan.json").write_text(json.dumps(PLAN))
    for name, content in PLANTED.items():
        (folder / name).write_bytes(content)
    (folder / "checkpoint-10").mkdir()
    (folder / "checkpoint-10" / "adapter_model.safetensors").write_bytes(b"half done")
    return folder


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubStub]:
    """The stub, with this process's real client pointed at it."""
    with HubStub(tokens={CANARY: ("alice", "acme")}) as hub:
        point_at(hub.url, monkeypatch)
        monkeypatch.setenv("HF_TOKEN", CANARY)
        yield hub
    huggingface_hub.close_session()


def point_at(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    # The client read these when it was imported.
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nonexistent/token")
    # The client has waits of its own within one attempt of ours.
    monkeypatch.setattr(_http, "time", SimpleNamespace(sleep=lambda _: None))
    huggingface_hub.close_session()


Pusher = Callable[..., PushOutcome]


@pytest.fixture
def waits() -> list[float]:
    """The seconds that a push would have slept."""
    return []


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
def pushed(folder: Path, waits: list[float], reports: list[str]) -> Pusher:
    """push() of the folder to alice/tickets, unless told otherwise, without sleeping."""

    def pusher(**changes: Any) -> PushOutcome:
        known: dict[str, Any] = {"folder": folder, "repo_id": "alice/tickets", "card": card_inputs()}
        inputs = PushInputs(**(known | changes))
        return push(inputs, reports.append, Backoff(attempts=4, sleep=waits.append))

    return pusher

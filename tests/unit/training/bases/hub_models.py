"""Models as they lie on a Hub: everything but weights."""

from __future__ import annotations

import json
from typing import Any

from tests.support.hub_repos import Repo
from tests.support.hub_stub import HubStub

LLAMA_COUNT = 1_235_814_400
LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 2048,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "intermediate_size": 8192,
    "vocab_size": 128256,
    "tie_word_embeddings": True,
    "max_position_embeddings": 131072,
}


def add_model(hub: HubStub, repo_id: str, parameters: int | None = LLAMA_COUNT, **known: Any) -> Repo:
    """A repository with config, tokenizer settings and card; `known` changes the config, or the repository itself."""
    repository = {name: known.pop(name) for name in ("gated", "private") if name in known}
    template, license = known.pop("chat_template", None), known.pop("license", "apache-2.0")
    settings = {"chat_template": template} if template else {}
    files = {
        "config.json": json.dumps({**LLAMA, **known}).encode(),
        "tokenizer_config.json": json.dumps(settings).encode(),
        "README.md": f"---\nlicense: {license}\n---\n".encode(),
    }
    return hub.add_repo(repo_id, files=files, parameters=parameters, **repository)

"""Models, data and machines to plan for, and the cases that combine them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.training import tiny
from tunesmith.schemas.overrides import check_overrides
from tunesmith.schemas.plans import ConfigureRequest
from tunesmith.training.facts import DataFacts, ModelFacts, facts_of
from tunesmith.training.hardware import Hardware
from tunesmith.training.planning import Decision, decide
from tunesmith.training.rendering import Rendered

GB = 10**9
GIB = 2**30

_LLAMA = {
    "model_type": "llama",
    "rope_theta": 500000.0,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
}


def _llama(
    hidden: int,
    layers: int,
    heads: int,
    kv: int,
    inner: int,
    vocabulary: int,
    context: int,
    **more: Any,
) -> dict[str, Any]:
    return {
        **_LLAMA,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "intermediate_size": inner,
        "vocab_size": vocabulary,
        "max_position_embeddings": context,
        **more,
    }


UNTIED = {"tie_word_embeddings": False}
MODELS: dict[str, dict[str, Any]] = {
    "narrow-0.4M": _llama(96, 4, 4, 4, 256, 512, 512),
    "SmolLM2-135M": _llama(576, 30, 9, 3, 1536, 49152, 8192),
    "SmolLM2-360M": _llama(960, 32, 15, 5, 2560, 49152, 8192),
    "Qwen3-0.6B": _llama(1024, 28, 16, 8, 3072, 151936, 40960, model_type="qwen3", head_dim=128),
    "Llama-3.2-1B": _llama(2048, 16, 32, 8, 8192, 128256, 131072),
    "Gemma-2-2B": {
        "model_type": "gemma2",
        "hidden_size": 2304,
        "num_hidden_layers": 26,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "intermediate_size": 9216,
        "vocab_size": 256000,
        "max_position_embeddings": 8192,
        "sliding_window": 4096,
    },
    "Llama-3.2-3B": _llama(3072, 28, 24, 8, 8192, 128256, 131072),
    "Mistral-7B": _llama(
        4096, 32, 32, 8, 14336, 32768, 32768, model_type="mistral", sliding_window=None, **UNTIED
    ),
    "Llama-3.1-8B": _llama(4096, 32, 32, 8, 14336, 128256, 131072, **UNTIED),
    "Qwen3-14B": _llama(5120, 40, 40, 8, 17408, 151936, 40960, model_type="qwen3", head_dim=128, **UNTIED),
    "Qwen2.5-32B": _llama(5120, 64, 40, 8, 27648, 152064, 32768, model_type="qwen2", **UNTIED),
    "Llama-3.1-70B": _llama(8192, 80, 64, 8, 28672, 128256, 131072, **UNTIED),
    "GPT-2": {"model_type": "gpt2", "vocab_size": 50257},
    "BLOOM-560M": {
        "model_type": "bloom",
        "hidden_size": 1024,
        "n_layer": 24,
        "n_head": 16,
        "vocab_size": 250880,
        "seq_length": 2048,
    },
    "Mamba-130M": {
        "model_type": "mamba",
        "hidden_size": 768,
        "num_hidden_layers": 24,
        "vocab_size": 50280,
    },
}
"""What config.json of well-known models says about their shape."""

MACHINES: dict[str, Hardware] = {
    "laptop 8 GB": Hardware("cpu", "CPU", 5 * GIB, bfloat16=False, cores=4),
    "laptop 32 GB": Hardware("cpu", "CPU", 24 * GIB, bfloat16=False, cores=8),
    "server AMX": Hardware("cpu", "CPU", 200 * GIB, bfloat16=True, cores=32),
    "Mac 16 GB": Hardware("mps", "Apple GPU", 10 * GIB, bfloat16=True, cores=8),
    "Mac 64 GB": Hardware("mps", "Apple GPU", 48 * GIB, bfloat16=True, cores=12),
    "RTX 3060 12 GB": Hardware("cuda", "NVIDIA GeForce RTX 3060", 11 * GIB, bfloat16=True, cores=8),
    "T4 16 GB": Hardware("cuda", "Tesla T4", 14 * GIB, bfloat16=False, cores=2),
    "RTX 4090 24 GB": Hardware(
        "cuda", "NVIDIA GeForce RTX 4090", 23 * GIB, bfloat16=True, cores=16, flash_attention=True
    ),
    "MI210 64 GB": Hardware("rocm", "AMD Instinct MI210", 63 * GIB, bfloat16=True, cores=32),
    "H100 80 GB": Hardware("cuda", "NVIDIA H100", 78 * GIB, bfloat16=True, cores=32),
    "8 x H100 80 GB": Hardware("cuda", "NVIDIA H100", 78 * GIB, bfloat16=True, cores=96, count=8),
}
"""`memory_bytes` is what is free."""


def _lengths(shortest: int, longest: int, tail: float = 2.0) -> list[int]:
    """A thousand lengths, many short and few long."""
    return [round(shortest + (longest - shortest) * (index / 999) ** tail) for index in range(1000)]


DATA: dict[str, tuple[int, list[int]]] = {
    "30 labels": (30, [60] * 30),
    "600 questions": (600, _lengths(30, 120)),
    "5k chats": (5_000, _lengths(80, 900)),
    "5k even rows": (5_000, _lengths(250, 256)),
    "50k chats": (50_000, _lengths(100, 2000, 3.0)),
    "50k documents": (50_000, _lengths(500, 8000)),
    "1M instructions": (1_000_000, _lengths(50, 600)),
}


@dataclass(frozen=True)
class Case:
    """One plan to make."""

    model: str
    machine: str
    data: str
    method: str = "lora"
    budget: str = "medium"
    dev_rows: int = 200
    chosen: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        more = [f"{key}={value}" for key, value in self.chosen.items()]
        more += ["no golden set"] if not self.dev_rows else []
        return " | ".join([self.model, self.machine, self.data, self.method, self.budget, *more])

    @property
    def request(self) -> ConfigureRequest:
        chosen = {"tuning_method": self.method, "compute_budget": self.budget, **self.chosen}
        return tiny.configure_request(Path("/models") / self.model, "ds-aaaaaaaaaaaaaaaa", **chosen)


CASES = [
    *(Case("narrow-0.4M", "laptop 8 GB", "600 questions", method) for method in (
        "full", "lora", "qlora", "prompt_tuning", "prefix_tuning"
    )),
    *(Case("SmolLM2-135M", "laptop 8 GB", "600 questions", "lora", budget) for budget in ("low", "medium", "high")),
    Case("SmolLM2-135M", "laptop 8 GB", "600 questions", "lora", "high", dev_rows=0),
    Case("SmolLM2-135M", "laptop 8 GB", "30 labels", dev_rows=0),
    Case("SmolLM2-135M", "laptop 8 GB", "5k chats", "full"),
    Case("SmolLM2-135M", "server AMX", "5k chats", "lora", "high"),
    Case("SmolLM2-360M", "laptop 32 GB", "5k chats", "full", "low"),
    Case("GPT-2", "laptop 8 GB", "600 questions"),
    Case("GPT-2", "laptop 8 GB", "50k chats"),
    Case("BLOOM-560M", "laptop 32 GB", "5k chats"),
    Case("Mamba-130M", "laptop 32 GB", "5k chats", chosen={"target_modules": ["in_proj"]}),
    Case("Qwen3-0.6B", "laptop 8 GB", "600 questions", "qlora"),
    Case("Qwen3-0.6B", "Mac 16 GB", "600 questions", "prompt_tuning"),
    Case("Qwen3-0.6B", "Mac 16 GB", "5k chats"),
    Case("Qwen3-0.6B", "T4 16 GB", "5k chats", "full"),
    Case("Llama-3.2-1B", "laptop 8 GB", "5k chats"),
    Case("Llama-3.2-1B", "laptop 32 GB", "5k chats"),
    Case("Llama-3.2-1B", "server AMX", "50k chats", "full"),
    Case("Llama-3.2-1B", "RTX 3060 12 GB", "5k chats"),
    Case("Llama-3.2-1B", "RTX 3060 12 GB", "5k chats", "full"),
    Case("Llama-3.2-1B", "RTX 4090 24 GB", "5k even rows", "lora", "high"),
    Case("Llama-3.2-1B", "T4 16 GB", "600 questions", "prefix_tuning"),
    Case("Gemma-2-2B", "RTX 4090 24 GB", "5k chats"),
    Case("Llama-3.2-3B", "laptop 8 GB", "600 questions", "qlora"),
    Case("Llama-3.2-3B", "Mac 16 GB", "5k chats"),
    Case("Llama-3.2-3B", "Mac 64 GB", "5k chats", "full"),
    Case("Mistral-7B", "T4 16 GB", "5k chats"),
    Case("Mistral-7B", "T4 16 GB", "5k chats", "qlora"),
    Case("Mistral-7B", "RTX 4090 24 GB", "5k chats", "qlora", "high"),
    Case("Llama-3.1-8B", "laptop 8 GB", "5k chats", "qlora"),
    Case("Llama-3.1-8B", "laptop 32 GB", "600 questions"),
    Case("Llama-3.1-8B", "Mac 64 GB", "5k chats"),
    Case("Llama-3.1-8B", "RTX 3060 12 GB", "5k chats", "qlora", "low"),
    Case("Llama-3.1-8B", "RTX 4090 24 GB", "5k chats"),
    Case("Llama-3.1-8B", "RTX 4090 24 GB", "50k documents", "qlora"),
    Case("Llama-3.1-8B", "MI210 64 GB", "50k chats", "lora", "high"),
    Case("Llama-3.1-8B", "H100 80 GB", "5k chats", "full"),
    Case("Llama-3.1-8B", "H100 80 GB", "1M instructions", "lora", "low"),
    Case("Llama-3.1-8B", "H100 80 GB", "50k documents", "lora", "high"),
    Case("Llama-3.1-8B", "8 x H100 80 GB", "50k chats", "full"),
    Case("Qwen3-14B", "RTX 4090 24 GB", "5k chats", "qlora"),
    Case("Qwen3-14B", "H100 80 GB", "5k chats", "lora", "high"),
    Case("Qwen2.5-32B", "H100 80 GB", "5k chats"),
    Case("Qwen2.5-32B", "H100 80 GB", "5k chats", "qlora", "high"),
    Case("Qwen2.5-32B", "RTX 4090 24 GB", "5k chats", "qlora"),
    Case("Llama-3.1-70B", "laptop 8 GB", "5k chats", "full"),
    Case("Llama-3.1-70B", "H100 80 GB", "5k chats", "qlora"),
    Case("Llama-3.1-70B", "8 x H100 80 GB", "50k chats", "full"),
    Case("Llama-3.1-70B", "8 x H100 80 GB", "5k chats"),
    Case("Llama-3.1-8B", "H100 80 GB", "5k chats", chosen={"learning_rate": "auto"}),
    Case("Llama-3.1-8B", "H100 80 GB", "5k chats", chosen={"quantization": "int8", "use_dora": True}),
    Case("Llama-3.1-8B", "H100 80 GB", "5k chats", chosen={"epochs": 1.0, "learning_rate": 1e-3}),
]  # fmt: skip


@cache
def model_facts(name: str) -> ModelFacts:
    """Facts of one of `MODELS`, in the bfloat16 that such models are published in."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**MODELS[name]))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return facts_of(model, parameters, 2 * parameters)


def data_facts(name: str) -> DataFacts:
    """Facts of one of `DATA`; two fifths of each row are its prompt."""
    rows, lengths = DATA[name]
    prompts = [length * 2 // 5 for length in lengths]
    return DataFacts(rows, lengths, prompts, 0, Rendered([1, 2, 3], [-100, 2, 3]), loss_share=0.6)


def decide_case(case: Case) -> Decision:
    request = case.request
    check_overrides(request)
    return decide(
        request,
        model_facts(case.model),
        data_facts(case.data),
        MACHINES[case.machine],
        base_revision=None,
        loss_on="completion",
        chat_template=None,
        dev_rows=case.dev_rows,
    )

"""Rows that leave their batch: what the others write stays what each of them writes alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, PrefixTuningConfig, PromptTuningConfig, get_peft_model
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    OpenAIGPTConfig,
    OpenAIGPTLMHeadModel,
    Qwen3NextConfig,
    Qwen3NextForCausalLM,
)

from tunesmith.evaluation import decoding
from tunesmith.evaluation.decoding import GreedyLoop

VOCABULARY, PAD = 96, 95
PROMPTS = [[5, 9], [17, 3, 44, 60, 8], [7], [30, 31, 32, 33, 34, 35, 36], [50, 2, 71]]
NEW = 12
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
    "initializer_range": 0.5,
}


def llama(**changes: Any) -> Any:
    return LlamaForCausalLM(LlamaConfig(**{**SIZES, **changes}))


def resized() -> Any:
    model = llama(vocab_size=80)
    model.resize_token_embeddings(VOCABULARY)
    return model


def adapted(config: Any) -> Any:
    return get_peft_model(llama(), config)


def lora(**options: Any) -> LoraConfig:
    return LoraConfig(
        task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False, **options
    )


SHRINKING: dict[str, Callable[[], Any]] = {
    "llama": llama,
    "gpt2, learned positions": lambda: GPT2LMHeadModel(
        GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=64, initializer_range=0.5)
    ),
    "gpt-neo, local attention": lambda: GPTNeoForCausalLM(
        GPTNeoConfig(
            vocab_size=VOCABULARY, hidden_size=32, num_layers=2, num_heads=4, intermediate_size=48, window_size=6,
            attention_types=[[["global", "local"], 1]], max_position_embeddings=64, initializer_range=0.5,
        )
    ),
    "a sliding window": lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=6)),
    "windows in every other layer": lambda: Gemma2ForCausalLM(Gemma2Config(**SIZES, sliding_window=6)),
    "a resized vocabulary": resized,
    "no cache": lambda: OpenAIGPTLMHeadModel(
        OpenAIGPTConfig(
            vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=64, initializer_range=0.5
        )
    ),
    "lora": lambda: adapted(lora()),
    "dora": lambda: adapted(lora(use_dora=True)),
    "prompt tuning": lambda: adapted(PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5)),
    "prefix tuning": lambda: adapted(PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5)),
}  # fmt: skip
STAYING: dict[str, Callable[[], Any]] = {
    "a state instead of a cache": lambda: MambaForCausalLM(
        MambaConfig(vocab_size=VOCABULARY, hidden_size=32, state_size=4, num_hidden_layers=2, initializer_range=0.5)
    ),
    "layers with a state beside attention": lambda: Qwen3NextForCausalLM(
        Qwen3NextConfig(
            **SIZES, layer_types=["linear_attention", "full_attention"], linear_num_value_heads=4,
            linear_num_key_heads=2, linear_key_head_dim=8, linear_value_head_dim=8, num_experts=2,
            num_experts_per_tok=1, moe_intermediate_size=16, shared_expert_intermediate_size=16,
        )
    ),
}  # fmt: skip


def written(model: Any, prompts: list[list[int]], loop: GreedyLoop | None = None) -> list[list[int]]:
    """By `loop`, or else by transformers' own greedy decoding without any end."""
    width = max(map(len, prompts))
    with torch.inference_mode():
        output = model.generate(
            input_ids=torch.tensor([[PAD] * (width - len(ids)) + ids for ids in prompts]),
            attention_mask=torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in prompts]),
            generation_config=GenerationConfig(max_new_tokens=NEW, pad_token_id=PAD),
            custom_generate=loop,
        )
    return output if loop is not None else output[:, width:].tolist()


def ended(tokens: list[int], stops: frozenset[int], limit: int) -> list[int]:
    first = next((at for at, token in enumerate(tokens) if token in stops), NEW)
    return tokens[: min(first + 1, limit)]


def widths_of_steps(model: Any) -> list[int]:
    """How many rows each step of the model computes from now on."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    widths: list[int] = []
    inner.register_forward_hook(lambda module, inputs, output: widths.append(len(output.logits)))
    return widths


def made(kind: Callable[[], Any]) -> Any:
    """The model with weights of its own, and without any end of its own."""
    torch.manual_seed(1)
    model = kind().eval()
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    inner.generation_config = GenerationConfig()
    return model


def never() -> bool:
    return False


@pytest.mark.parametrize("read_tokens", [512, 10])
@pytest.mark.parametrize("kind", SHRINKING)
def test_rows_that_have_ended_leave_and_the_others_write_what_they_write_alone(
    kind: str, read_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "READ_TOKENS", read_tokens)
    model = made(SHRINKING[kind])
    prompts = [ids[-2:] for ids in PROMPTS if len(ids) > 1] if "tuning" in kind else PROMPTS
    alone = [written(model, [ids])[0] for ids in prompts]
    stops, limits = frozenset({alone[0][2], alone[1][5]}), [NEW, NEW, 4, NEW, 7][: len(prompts)]
    widths = widths_of_steps(model)

    together = written(model, prompts, GreedyLoop(stops, limits, never))

    assert together == [ended(tokens, stops, limit) for tokens, limit in zip(alone, limits, strict=True)]
    assert len(set(map(len, together))) > 2
    assert sum(widths) == sum(map(len, together))


@pytest.mark.parametrize("kind", STAYING)
def test_rows_whose_state_stays_in_the_batch_are_passed_over_once_they_have_ended(kind: str) -> None:
    model = made(STAYING[kind])
    plain = written(model, PROMPTS)
    stops, limits = frozenset({plain[0][2], plain[1][5]}), [NEW, NEW, 4, NEW, 7]
    widths = widths_of_steps(model)

    together = written(model, PROMPTS, GreedyLoop(stops, limits, never))

    assert together == [ended(tokens, stops, limit) for tokens, limit in zip(plain, limits, strict=True)]
    assert set(widths) == {len(PROMPTS)}
    assert len(widths) == max(map(len, together))


def test_prompts_that_are_read_in_parts_are_answered_as_together(monkeypatch: pytest.MonkeyPatch) -> None:
    model = made(llama)
    alone = [written(model, [ids])[0] for ids in PROMPTS]
    monkeypatch.setattr(decoding, "READ_TOKENS", 10)
    widths = widths_of_steps(model)

    together = written(model, PROMPTS, GreedyLoop(frozenset(), [NEW] * len(PROMPTS), never))

    assert together == alone
    assert widths == [2, 1, 1, 1, *[len(PROMPTS)] * (NEW - 1)]


def test_an_interrupted_batch_ends_with_the_step_under_way() -> None:
    model = made(llama)
    asked = iter([False, False, True])
    together = written(model, PROMPTS, GreedyLoop(frozenset(), [NEW] * len(PROMPTS), lambda: next(asked)))
    assert [len(tokens) for tokens in together] == [3] * len(PROMPTS)

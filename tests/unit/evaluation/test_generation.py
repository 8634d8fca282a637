from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import LoraConfig, PrefixTuningConfig, PromptTuningConfig, get_peft_model
from transformers import GenerationConfig

from tunesmith.evaluation.generation import Decoding, Prompt, Written, context_tokens, generate, stop_ids

METHODS = {
    "base": None,
    "lora": LoraConfig(
        task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False
    ),
    "prompt tuning": PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5),
    "prefix tuning": PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5),
}
NEVER = 10_000
"""A token that the model does not have."""
TEXTS = ["a", "colour of", "the apple is", "colour of the pear? ", "colour of the melon? the", "b", "date, "]


@pytest.fixture
def write(tokenizer: Any, no_news: SimpleNamespace) -> Any:
    def write(model: Any, texts: list[str], new: int = 10, **decoding: Any) -> list[Written]:
        prompts = [Prompt(tokenizer.encode(text), new) for text in texts]
        settings = Decoding(**{"stop_ids": stop_ids(model, tokenizer), **decoding})
        return generate(
            model, tokenizer, prompts, settings, on_batch=no_news.on_batch, interrupted=no_news.interrupted
        )

    return write


def one_token_at_a_time(model: Any, ids: list[int], new: int) -> list[int]:
    """Greedy decoding without cache, padding or batch."""
    for _ in range(new):
        with torch.no_grad():
            inputs = torch.tensor([ids])
            ids = [
                *ids,
                int(model(input_ids=inputs, attention_mask=torch.ones_like(inputs)).logits[0, -1].argmax()),
            ]
    return ids[-new:]


@pytest.mark.parametrize("method", METHODS)
def test_padding_does_not_change_what_is_written(method: str, tiny: Any, tokenizer: Any, write: Any) -> None:
    model = tiny if METHODS[method] is None else get_peft_model(tiny, METHODS[method]).eval()

    together = write(model, TEXTS, stop_ids=[NEVER])

    alone = [write(model, [text], stop_ids=[NEVER])[0] for text in TEXTS]
    plain = [
        tokenizer.decode(one_token_at_a_time(model, tokenizer.encode(text), 10), skip_special_tokens=True)
        for text in TEXTS
    ]
    assert together == alone
    assert [written.text for written in together] == plain
    assert len(set(plain)) > 2


def test_writing_ends_at_a_stop_token_which_is_not_part_of_the_text(
    tiny: Any, tokenizer: Any, write: Any
) -> None:
    tokens = one_token_at_a_time(tiny, tokenizer.encode("the pear"), 10)
    stop = next(token for place, token in enumerate(tokens) if place >= 2 and token not in tokens[:place])
    end = tokens.index(stop)

    (written,) = write(tiny, ["the pear"], stop_ids=[stop])

    text = tokenizer.decode(tokens[:end], skip_special_tokens=True)
    assert written == Written(text, end + 1, "eos")


def test_each_prompt_has_its_own_length(tiny: Any, tokenizer: Any, no_news: SimpleNamespace) -> None:
    prompts = [Prompt(tokenizer.encode("a"), 3), Prompt(tokenizer.encode("b"), 7)]

    written = generate(
        tiny,
        tokenizer,
        prompts,
        Decoding([NEVER]),
        on_batch=no_news.on_batch,
        interrupted=no_news.interrupted,
    )

    assert [answer.new_tokens for answer in written] == [3, 7]
    assert {answer.stopped for answer in written} == {"length"}


def test_sampling_repeats_with_its_seed_and_does_not_depend_on_the_other_prompts(
    tiny: Any, write: Any
) -> None:
    first = write(tiny, TEXTS, temperature=1.0, seed=4)

    assert write(tiny, TEXTS, temperature=1.0, seed=4) == first
    assert write(tiny, TEXTS[:2], temperature=1.0, seed=4) == first[:2]
    assert write(tiny, TEXTS, temperature=1.0, seed=5) != first


def test_a_narrow_nucleus_leaves_the_likeliest_token_alone(tiny, write):
    greedy = write(tiny, TEXTS)
    assert write(tiny, TEXTS, temperature=1.0, top_p=1e-6, seed=4) == greedy
    assert write(tiny, TEXTS, temperature=1.0, seed=4) != greedy


def test_equal_prompts_draw_different_samples(tiny: Any, write: Any) -> None:
    written = write(tiny, ["colour"] * 3, temperature=1.5)

    assert len({answer.text for answer in written}) == 3


def test_penalties_that_a_model_brings_along_are_not_applied(tiny: Any, write: Any) -> None:
    plain = write(tiny, TEXTS)
    tiny.generation_config = brought = GenerationConfig(
        repetition_penalty=5.0, do_sample=True, temperature=2.0, min_new_tokens=9, eos_token_id=1
    )

    assert write(tiny, TEXTS) == plain
    assert tiny.generation_config is brought


def test_an_answer_ends_where_the_context_does(tiny: Any, write: Any) -> None:
    prompt = "a b " * 20
    (written,) = write(tiny, [prompt], new=500, stop_ids=[NEVER])

    assert written.stopped == "length"
    assert 0 < written.new_tokens < context_tokens(tiny)


def test_learned_prompts_take_up_room_in_the_context(tiny: Any) -> None:
    assert context_tokens(tiny) == 96
    assert context_tokens(get_peft_model(tiny, METHODS["prompt tuning"])) == 91


def test_an_empty_prompt_starts_from_the_end_of_text(tiny: Any, write: Any) -> None:
    assert write(tiny, [""], new=4, stop_ids=[NEVER])[0].new_tokens == 4


def test_an_interrupted_batch_ends_early(tiny: Any, tokenizer: Any) -> None:
    class Asked(Exception):
        pass

    steps = []

    def interrupted() -> bool:
        steps.append(1)
        return len(steps) >= 2

    def on_batch(_: int) -> None:
        raise Asked

    with pytest.raises(Asked):
        generate(
            tiny, tokenizer, [Prompt([5], 60)], Decoding([NEVER]), on_batch=on_batch, interrupted=interrupted
        )
    assert len(steps) == 2

"""Make the demo base model from nothing: `python -m tunesmith.demo.pretrain --out DIR`.

What is guaranteed: the corpus is the same everywhere. On one machine, with one version of torch and the same
thread count (`--threads`), two runs write the same bytes. What is not: other processors, torch versions or
thread counts add floating-point numbers in another order, and give a model that is as good but not bit-equal;
a new release of `tokenizers` may break ties between merges differently.
"""

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tunesmith.demo import base_model_path, corpus
from tunesmith.demo.curriculum import IGNORED, Batch, drill, packed_windows, single_documents
from tunesmith.demo.tokenizer import CONTEXT, SPECIAL_TOKENS, train_tokenizer


@dataclass(frozen=True, slots=True)
class Recipe:
    """The numbers behind the committed base."""

    seed: int = 11
    drill_steps: int = 400
    single_tokens: int = 4_700_000
    packed_tokens: int = 500_000
    tokens_per_step: int = 2048
    peak_lr: float = 3.5e-3
    warmup_steps: int = 50
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    tokenizer_documents: int = 4000
    held_out_documents: int = 300


def model_config(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    """A Llama of 0.45 million weights: in float32 it stays below two megabytes.

    The initial weights are wider than Llama's own 0.02, which at this width leaves attention flat for long.
    """
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=96,
        intermediate_size=192,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=CONTEXT,
        initializer_range=0.06,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def encoded(texts: Iterator[str], tokenizer: PreTrainedTokenizerFast) -> Iterator[list[int]]:
    """Documents as token ids, each closed by the end token."""
    while some := list(islice(texts, 1000)):
        for ids in tokenizer(some)["input_ids"]:
            yield [*ids, tokenizer.eos_token_id]


def curriculum(tokenizer: PreTrainedTokenizerFast, recipe: Recipe) -> list[Batch]:
    """Every batch of the training, in order."""
    documents = encoded(corpus.documents(), tokenizer)
    words = range(len(SPECIAL_TOKENS), len(tokenizer))
    step, pad = recipe.tokens_per_step, tokenizer.pad_token_id
    return [
        *drill(recipe.drill_steps, words, torch.Generator().manual_seed(recipe.seed)),
        *single_documents(documents, recipe.single_tokens, step, recipe.seed, pad),
        *packed_windows(documents, recipe.packed_tokens, step),
    ]


def learning_rate(step: int, steps: int, recipe: Recipe) -> float:
    """Linear warmup, then half a cosine down to a twentieth of the peak."""
    if step < recipe.warmup_steps:
        return recipe.peak_lr * (step + 1) / recipe.warmup_steps
    progress = (step - recipe.warmup_steps) / max(1, steps - recipe.warmup_steps)
    return recipe.peak_lr * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * progress)))


def loss_on(model: LlamaForCausalLM, batch: Batch) -> torch.Tensor:
    """Mean next-token cross-entropy in nats over the positions that carry loss."""
    logits = model(input_ids=batch.ids, use_cache=False).logits[:, :-1]
    labels = batch.labels[:, 1:]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)


def train(model: LlamaForCausalLM, batches: list[Batch], recipe: Recipe) -> None:
    """Train in place, each batch once, in order."""
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": recipe.weight_decay},
            {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
        ],
        betas=(0.9, 0.98),
    )
    model.train()
    started = time.monotonic()
    for step, batch in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, len(batches), recipe)
        loss = loss_on(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        if step % 100 == 0:
            seconds = time.monotonic() - started
            print(f"step {step}/{len(batches)}  loss {loss.item():.4f}  {seconds:.0f} s", flush=True)  # noqa: T201


def held_out_loss(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, recipe: Recipe) -> float:
    """Mean loss per batch, in nats per token, on documents of another seed than the training stream's."""
    texts = islice(corpus.documents(corpus.SEED + 1), recipe.held_out_documents)
    documents = sorted(encoded(texts, tokenizer), key=len)
    model.eval()
    with torch.inference_mode():
        losses = [loss_on(model, Batch(ids, ids)) for ids in (torch.tensor([ids]) for ids in documents)]
    return float(torch.stack(losses).mean())


def pretrain(out: Path, recipe: Recipe) -> float:
    """Train tokenizer and model, save both under `out`, and return the held-out loss."""
    tokenizer = train_tokenizer(islice(corpus.documents(), recipe.tokenizer_documents))
    torch.manual_seed(recipe.seed)
    model = LlamaForCausalLM(model_config(tokenizer))
    train(model, curriculum(tokenizer, recipe), recipe)
    loss = held_out_loss(model, tokenizer, recipe)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return loss


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description="Pretrain the demo base model.")
    parser.add_argument("--out", type=Path, default=base_model_path(), help="folder to write the model to")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads; the committed base used 2")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"held-out loss {pretrain(arguments.out, Recipe()):.4f}")  # noqa: T201


if __name__ == "__main__":
    main()

"""Whether the store's disk can hold what a plan's run writes: its checkpoints and the adapter."""

from __future__ import annotations

from pathlib import Path

from tunesmith import demo
from tunesmith.jobs.disk import free_bytes
from tunesmith.jobs.paths import Store
from tunesmith.jobs.pruning import Pruner
from tunesmith.jobs.snapshot import Observer
from tunesmith.schemas.enums import TuningMethod
from tunesmith.schemas.errors import DiskFull
from tunesmith.schemas.plans import Plan

_BLOCK_BYTES = 4096
_BESIDE_A_CHECKPOINT_BYTES = 14 * _BLOCK_BYTES
"""Random state (four blocks), configurations, manifest, schedule, the folder: ten of one block, more or less."""
_BESIDE_AN_ADAPTER_BYTES = 6 * _BLOCK_BYTES
"""The plan (two blocks at most), configurations, the folder."""
_LOGGED_BYTES = 170
"""A step's line in the Trainer's state."""
_HEADERS = 1.06
"""Names and shapes of tensors, a kilobyte each with its two moments. Measured where they weigh most, with an adapter
of 98 kB in 16 tensors: 1.046."""
_UNKNOWN_TOKENIZER_BYTES = 36_000_000
"""As much as the largest tokenizer in use (Gemma's, 262,144 tokens), for a base that lies in no known folder."""
_TOKENIZER_FILES = (
    "tokenizer*", "special_tokens_map.json", "added_tokens.json", "vocab.*", "merges.txt", "chat_template*"
)  # fmt: skip
_EIGHT_BIT_EMBEDDINGS = 800_000_000
"""Weights of the largest input embedding in use: a model's embedding keeps 32-bit states beside 8-bit ones."""


def checkpoint_bytes(plan: Plan) -> int:
    """What one checkpoint of the plan's run takes at most: weights that learn, AdamW's state of them, tokenizer."""
    weights = _weights_bytes(plan)
    best = 0 if plan.config.early_stopping_patience is None else weights
    log = _LOGGED_BYTES * plan.config.total_steps
    tensors = round(_HEADERS * (weights + best + _optimizer_bytes(plan)))
    return tensors + log + _tokenizer_bytes(plan) + _BESIDE_A_CHECKPOINT_BYTES


def adapter_bytes(plan: Plan) -> int:
    """What the finished adapter, or the model after full fine-tuning, takes at most."""
    # PiSSA and OLoRA are written as an ordinary LoRA of twice the rank.
    copies = 1 if plan.config.init_lora_weights == "default" else 2
    tensors = round(_HEADERS * copies * _weights_bytes(plan))
    return tensors + _tokenizer_bytes(plan) + _BESIDE_AN_ADAPTER_BYTES


def require_room(store: Store, plan: Plan) -> None:
    """Do nothing where the store's disk has room for what a run of this plan writes at most: the two checkpoints
    that are kept, one that is being written, and the adapter.

    Raises:
        DiskFull: it has not; the message says how much is missing and what would free how much.
    """
    checkpoint, adapter = checkpoint_bytes(plan), adapter_bytes(plan)
    # With early stopping the best weights lie beside the checkpoints too, until the run ends.
    scratch = 0 if plan.config.early_stopping_patience is None else round(_HEADERS * _weights_bytes(plan))
    needed, free = 3 * checkpoint + adapter + scratch, free_bytes(store)
    if free >= needed:
        return
    beside = f", best weights beside them ({_size(scratch)})" if scratch else ""
    raise DiskFull(
        f"The store's disk has {_size(free)} free; a run of this plan needs {_size(needed)}: two checkpoints "
        f"and one being written ({_size(checkpoint)} each){beside} and the adapter ({_size(adapter)}).",
        f"{_advice(store, needed - free)} Then call again; nothing was started.",
    )


def _advice(store: Store, missing_bytes: int) -> str:
    prunable = Pruner(Observer(store)).propose_spare().freed_bytes
    elsewhere = "or point TUNESMITH_HOME at another disk"
    if prunable >= missing_bytes:
        return (
            f"Run tunesmith runs prune --yes on that machine, which frees {_size(prunable)} (checkpoints of succeeded "
            f"runs and leftovers; without --yes it only shows them), {elsewhere}."
        )
    little = f"tunesmith runs prune --yes frees only {_size(prunable)} of it. " if prunable else ""
    return (
        f"{_size(missing_bytes)} are missing. {little}tunesmith runs --disk shows what each run takes, and tunesmith "
        f"runs prune RUN, or --older-than 30d, removes whole runs; {elsewhere}."
    )


def _weights_bytes(plan: Plan) -> int:
    """Weights that learn are kept in float32, as their gradients are."""
    return plan.memory["gradients"]


def _optimizer_bytes(plan: Plan) -> int:
    if plan.config.optim != "adamw_8bit":
        return plan.memory["optimizer"]
    # bitsandbytes keeps tensors below 4,096 weights in 32 bits (an adapter's may all be), and embeddings.
    in_32_bits = 2 * _weights_bytes(plan)
    if plan.config.tuning_method is not TuningMethod.FULL:
        return in_32_bits
    return min(in_32_bits, plan.memory["optimizer"] + 6 * _EIGHT_BIT_EMBEDDINGS)


def _tokenizer_bytes(plan: Plan) -> int:
    config = plan.config
    named = demo.base_model_path() if config.base_model_kind == "demo" else config.base_model_path
    folder = None if named is None else Path(named)
    if folder is None or not (folder / "tokenizer.json").is_file():
        return _UNKNOWN_TOKENIZER_BYTES
    files = {file for pattern in _TOKENIZER_FILES for file in folder.glob(pattern)}
    return sum(-(-file.stat().st_size // _BLOCK_BYTES) * _BLOCK_BYTES for file in files if file.is_file())


def _size(count_bytes: int) -> str:
    if count_bytes < 10_000_000:
        return f"{count_bytes / 1e3:,.0f} kB"
    return f"{count_bytes / 1e6:,.0f} MB" if count_bytes < 10_000_000_000 else f"{count_bytes / 1e9:,.1f} GB"

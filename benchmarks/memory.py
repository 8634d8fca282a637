"""Planned against measured memory: a randomly initialised Llama of 135 million weights, full, LoRA and QLoRA.

    python -m benchmarks.memory                  # every method, each in a process of its own
    python -m benchmarks.memory lora qlora       # some

The child plans with the product's planner, trains a few steps with the product's trainer on random rows, and tells the
peak: resident memory above what the imports hold (the kernel's high-water mark, reset before the first step), and on an
accelerator what torch had allocated at most. The estimate is the plan's peak of training without the framework.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tunesmith.jobs.executor import ALLOCATOR

SHAPE = {
    "hidden_size": 576,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "intermediate_size": 1536,
    "vocab_size": 49152,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}
METHODS: dict[str, dict[str, Any]] = {
    "full": {"tuning_method": "full"},
    "lora": {"tuning_method": "lora"},
    "lora-all-linear": {"tuning_method": "lora", "compute_budget": "high"},
    "qlora": {"tuning_method": "qlora"},
}
ROWS, BATCH_SIZE, STEPS = 64, 8, 6
LENGTHS = (110, 190)
"""Tokens of the shortest and the longest row; the last half of each carries loss."""


def resident_bytes(key: str) -> int:
    """VmRSS or VmHWM of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(key)


def random_rows() -> list[Any]:
    """Rows of different lengths, always the same ones."""
    from tunesmith.training.rendering import NO_LOSS, Rendered

    draw = random.Random(0)
    rows = []
    for _ in range(ROWS):
        ids = [draw.randrange(10, SHAPE["vocab_size"]) for _ in range(draw.randint(*LENGTHS))]
        prompt = len(ids) // 2
        rows.append(Rendered(ids, [NO_LOSS] * prompt + ids[prompt:]))
    return rows


def save_model(folder: Path) -> None:
    """The model and the least tokenizer that goes with it."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    LlamaForCausalLM(LlamaConfig(**SHAPE)).save_pretrained(folder)
    words = {f"w{index}": index for index in range(SHAPE["vocab_size"])}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(words, "w0")), pad_token="w1", eos_token="w2", unk_token="w0"
    )
    tokenizer.save_pretrained(folder)


def plan(folder: Path, method: str, rows: list[Any]) -> Any:
    """What the planner decides."""
    from tunesmith.schemas.plans import ConfigureRequest
    from tunesmith.training.facts import data_facts, read_model_facts
    from tunesmith.training.hardware import this_machine
    from tunesmith.training.planning import decide

    left_out = dict.fromkeys(ConfigureRequest.model_fields)
    defaults = {
        "use_rslora": False,
        "use_dora": False,
        "init_lora_weights": "default",
        "compute_budget": "medium",
    }
    request = ConfigureRequest.model_validate(
        {
            **left_out,
            **defaults,
            "base_model": "random",
            "base_model_kind": "local",
            "base_model_path": str(folder),
            "dataset_id": "random",
            "batch_size": BATCH_SIZE,
            "max_steps": STEPS,
            "seed": 0,
            **METHODS[method],
        }
    )
    return decide(
        request,
        read_model_facts(folder),
        data_facts(rows, len(rows), 0),
        this_machine(),
        base_revision=None,
        loss_on="completion",
        chat_template=None,
        dev_rows=0,
    )


def measure(folder: Path, method: str) -> dict[str, Any]:
    """Train a few steps in this process; bytes planned and measured."""
    import torch

    import tunesmith.worker  # noqa: F401 - what a job process sets before torch is there
    from tunesmith.jobs.context import JobContext
    from tunesmith.jobs.journal import Journal
    from tunesmith.jobs.paths import Store
    from tunesmith.training.failures import free_memory
    from tunesmith.training.methods import attach
    from tunesmith.training.model import load_model, load_tokenizer
    from tunesmith.training.reporting import Calendar, Reporter
    from tunesmith.training.trainer import train

    rows, tokenizer = random_rows(), load_tokenizer(folder)
    decision = plan(folder, method, rows)
    config = decision.config
    if config.quantization is not None:
        import bitsandbytes  # noqa: F401 - a part of what the imports hold
    before = resident_bytes("VmRSS")
    precision = "float32" if method == "full" else config.precision
    model = load_model(folder, precision=precision, quantization=config.quantization, for_training=True)
    model = attach(model, config)
    store = Store(folder / f"store-{method}")
    paths = store.handle("run-aaaaaaaaaaaaaaaa")
    paths.scratch.mkdir(parents=True)
    job = JobContext(store, paths, Journal(paths.journal, 1))
    reporter = Reporter(job, Calendar(10**6, 10**6, 10**6), lambda _: None, config.learning_rate)
    free_memory()  # as the trainer does
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins here
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    train(model, tokenizer, rows, config, reporter, paths.scratch, None)
    measured = resident_bytes("VmHWM") - before
    if torch.cuda.is_available():
        measured = torch.cuda.max_memory_allocated()
    return {
        "method": method,
        "setup": f"{config.precision}, micro-batch {config.micro_batch_size}, max_length {config.max_length}"
        + (", packed" if config.packing else ""),
        "planned": decision.peaks["training"] - decision.memory["framework"],
        "measured": measured,
        "components": decision.memory,
    }


def main() -> None:
    """Print both for each method, and how far they are apart."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_model(folder)
        for method in sys.argv[1:] or METHODS:
            code = f"from benchmarks.memory import *; print(json.dumps(measure(Path({name!r}), {method!r})))"
            child = subprocess.run(
                [sys.executable, "-c", code],
                capture_output=True,
                text=True,
                check=False,
                cwd=Path(__file__).parents[1],
                env={**os.environ, **ALLOCATOR, "HF_HUB_OFFLINE": "1"},
            )
            if child.returncode:
                sys.exit(child.stderr[-2000:])
            found = json.loads(child.stdout.splitlines()[-1])
            off = found["planned"] / found["measured"] - 1
            print(
                f"{method:16s} planned {found['planned'] / 1e6:6.0f} MB, measured {found['measured'] / 1e6:6.0f} MB: "
                f"{off:+.1%}   ({found['setup']})"
            )
            print("   " + ", ".join(f"{part} {size / 1e6:.0f}" for part, size in found["components"].items()))


if __name__ == "__main__":
    main()

"""How many tokens a second does LoRA train, beside the same training as a plain TRL script?

    python -m benchmarks.throughput [--material FOLDER] [--shapes NAME ...] [--rounds N]

LoRA r 16 on all linear layers; each side in a process of its own, in turns, with the same rows, updates and learning
rate; what the plan does not say is left to TRL's defaults. Real tokens only, no padding. Wanted: 4 times TRL's speed on
the two small models of --material (or $TUNESMITH_MATERIAL), 3.5 times on the 135 M shape with at most 70 % of TRL's
peak memory, at an equal held-out loss; and beside a busy process no collapse. Shapes are randomly initialised; their
rows are texts of the demo with log-normal lengths. The large ones want a GPU, and are compared with Unsloth where that
is installed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
from mcp import Client

from benchmarks.bench_first_step import call
from benchmarks.measuring import end_host, server_of
from tunesmith import demo
from tunesmith.jobs.executor import ALLOCATOR
from tunesmith.jobs.files import read_document
from tunesmith.jobs.paths import Store
from tunesmith.schemas.plans import Plan

BUSY = "while True: pass"
SHAPES: dict[str, dict[str, Any]] = {
    "llama-135m": {
        "model_type": "llama", "hidden_size": 576, "num_hidden_layers": 30, "num_attention_heads": 9,
        "num_key_value_heads": 3, "intermediate_size": 1536, "vocab_size": 49152, "tie_word_embeddings": True,
    },
    "qwen3-0.6b": {
        "model_type": "qwen3", "hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16,
        "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 3072, "vocab_size": 151936,
        "tie_word_embeddings": True,
    },
    "llama-3.2-1b": {
        "model_type": "llama", "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32,
        "num_key_value_heads": 8, "head_dim": 64, "intermediate_size": 8192, "vocab_size": 128256,
        "tie_word_embeddings": True,
    },
}  # fmt: skip
"""As their families' config.json have them."""


@dataclass(frozen=True)
class Case:
    """One model with its data. `wanted` is the ratio to TRL."""

    name: str
    model: Path
    source: Path
    steps: int
    max_length: int
    wanted: float


def material_cases(material: Path | None) -> list[Case]:
    """The two small models, where there is a folder with them."""
    if material is None or not material.is_dir():
        print("(tinytalk-chat and stories260K: no --material, left out)")
        return []
    models, data = material / "models", material / "data"
    return [
        Case(
            "tinytalk-chat",
            models / "tinytalk-chat",
            data / "chat/sgd_dev_001-007.messages.jsonl",
            16,
            256,
            4.0,
        ),
        Case("stories260K", models / "stories260K", data / "text/tinyshakespeare.txt", 30, 256, 4.0),
    ]


def shape_case(name: str, folder: Path, accelerated: bool) -> Case:
    """A model of that shape with random weights, and rows to train it on."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    longest = 2048 if accelerated else 256
    torch.manual_seed(0)
    config = AutoConfig.for_model(**SHAPES[name], max_position_embeddings=2048)
    model = AutoModelForCausalLM.from_config(config)
    if accelerated:
        model.to(torch.bfloat16)
    model.save_pretrained(folder / name)
    tokenizer = AutoTokenizer.from_pretrained(demo.base_model_path())
    tokenizer.save_pretrained(folder / name)
    source = folder / f"{name}.jsonl"
    write_rows(source, tokenizer, longest)
    return Case(name, folder / name, source, 40 if accelerated else 4, longest, 3.5)


def write_rows(path: Path, tokenizer: Any, longest: int) -> None:
    """Instructions and answers whose tokens together are log-normal: a third of the longest in the middle."""
    rng = random.Random(0)
    with demo.dataset_path().open(encoding="utf-8") as file:
        texts = [" ".join(str(value) for value in json.loads(line).values()) for line in file]
    words = " ".join(texts).split()
    per_word = len(tokenizer(" ".join(words[:2000]))["input_ids"]) / 2000
    with path.open("w", encoding="utf-8") as file:
        for _ in range(400):
            tokens = rng.lognormvariate(math.log(longest / 3), 0.7)
            count = max(8, min(int(tokens / per_word), int(0.9 * longest / per_word)))
            start = rng.randrange(len(words) - count)
            half = count // 2
            row = {
                "instruction": " ".join(words[start : start + half]),
                "response": " ".join(words[start + half : start + count]),
            }
            file.write(json.dumps(row) + "\n")


async def make_plan(store: Store, case: Case) -> str:
    """What a user gets who names the model and the data."""
    async with Client(server_of(store.root)) as client:
        dataset = await call(client, "load_dataset", source=str(case.source))
        golden = await call(client, "build_golden_set", dataset_id=dataset["dataset_id"], size=80)
        plan = await call(
            client,
            "configure_lora",
            base_model=str(case.model),
            dataset_id=golden["train_dataset_id"],
            golden_set_id=golden["golden_set_id"],
            target_modules=["all-linear"],
            r=16,
            max_steps=case.steps,
            max_length=case.max_length,
        )
    return str(plan["plan_id"])


def write_training(store: Store, plan_id: str, case: Case, path: Path) -> Plan:
    """The plan's rows and numbers for a script that knows nothing of plans."""
    from tunesmith.training.inputs import read_inputs

    plan = read_document(store.handle(plan_id).result, Plan)
    assert plan is not None
    inputs = read_inputs(store, plan)
    taken = (
        "r",
        "alpha",
        "dropout",
        "batch_size",
        "learning_rate",
        "warmup_steps",
        "total_steps",
        "max_length",
    )
    given = {name: getattr(plan.config, name) for name in taken} | {
        "model": str(case.model),
        "target_modules": plan.config.target_modules,
        "dtype": "bfloat16" if _accelerated() else "float32",
        "pad_token_id": inputs.tokenizer.pad_token_id,
        "train": [(row.input_ids, row.labels) for row in inputs.train.rows],
        "dev": [(row.input_ids, row.labels) for row in inputs.dev],
    }
    path.write_text(json.dumps(given), encoding="utf-8")
    return plan


def measure(how: str, store: Store, plan_id: str, rows: Path) -> dict[str, float]:
    """The figures of one training."""
    environment = dict(os.environ) | (ALLOCATOR if how == "tunesmith" else {})  # as a job process has it
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.one_training", how, str(store.root), plan_id, str(rows)],
        env=environment,
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    if answer.returncode:
        raise SystemExit(f"{how}: {answer.stderr[-2000:]}")
    return dict(json.loads(answer.stdout.splitlines()[-1]))


@contextmanager
def busy_process() -> Iterator[None]:
    """Something that keeps one core busy."""
    process = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def compare(case: Case, store: Store, plan_id: str, rows: Path, rounds: int) -> float:
    """Print one model's lines; returns our speed."""
    others = ["trl", *(["unsloth"] if _accelerated() and find_spec("unsloth") else [])]
    figures: dict[str, list[dict[str, float]]] = {how: [] for how in [*others, "tunesmith"]}
    for _ in range(rounds):
        for how, found in figures.items():
            found.append(measure(how, store, plan_id, rows))
    middle = {
        how: {name: statistics.median(each[name] for each in found) for name in found[0]}
        for how, found in figures.items()
    }
    for how, each in middle.items():
        ratios = [
            a["tokens_per_s"] / b["tokens_per_s"] for a, b in zip(figures[how], figures["trl"], strict=True)
        ]
        print(
            f"{case.name:14} {how:10} {each['tokens_per_s']:9.0f} tokens/s  x {statistics.median(ratios):5.2f}"
            f"  peak {each['peak_bytes'] / 1e6:7.0f} MB ({each['peak_bytes'] / middle['trl']['peak_bytes']:4.0%})"
            f"  held-out loss {each['loss']:.4f} after {each['steps']:.0f} updates",
            flush=True,
        )
    ratio = middle["tunesmith"]["tokens_per_s"] / middle["trl"]["tokens_per_s"]
    print(f"{'':14} wanted: x {case.wanted:g}: {'met' if ratio >= case.wanted else 'MISSED'}")
    return middle["tunesmith"]["tokens_per_s"]


def beside_a_busy_process(case: Case, store: Store, plan_id: str, rows: Path, quiet: float) -> None:
    """Print what a neighbour costs."""
    with busy_process():
        ours = measure("tunesmith", store, plan_id, rows)["tokens_per_s"]
        trl = measure("trl", store, plan_id, rows)["tokens_per_s"]
    print(
        f"{case.name:14} beside a busy process: tunesmith {ours:.0f} tokens/s (quiet / busy {quiet / ours:.1f}), "
        f"trl {trl:.0f}, x {ours / trl:.2f}",
        flush=True,
    )


def _accelerated() -> bool:
    import torch

    return torch.cuda.is_available()


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    material = os.environ.get("TUNESMITH_MATERIAL")
    parser.add_argument("--material", type=Path, default=Path(material) if material else None)
    parser.add_argument("--shapes", nargs="*", choices=SHAPES, default=["llama-135m"])
    parser.add_argument("--rounds", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        cases = material_cases(chosen.material)
        cases += [shape_case(name, folder, _accelerated()) for name in chosen.shapes]
        store = Store(folder / "store")
        store.root.mkdir()
        os.environ["TUNESMITH_ROOTS"] = os.pathsep.join(map(str, {folder, *filter(None, [chosen.material])}))
        try:
            plans = [anyio.run(make_plan, store, case) for case in cases]
        finally:
            end_host(store)  # an idle forkserver holds memory, and nothing is to stand beside the trainings
        for number, (case, plan_id) in enumerate(zip(cases, plans, strict=True)):
            rows = folder / f"{number}.json"
            plan = write_training(store, plan_id, case, rows)
            print(
                f"{case.name:14} {plan.train_rows} rows, batch {plan.config.batch_size}, {plan.config.precision}, "
                f"packing {'on' if plan.config.packing else 'off'}"
            )
            speed = compare(case, store, plan_id, rows, chosen.rounds)
            if number == len(cases) - 2 or (number == 0 and len(cases) == 1):
                beside_a_busy_process(case, store, plan_id, rows, speed)


if __name__ == "__main__":
    main()

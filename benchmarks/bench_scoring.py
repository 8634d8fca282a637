"""How fast are answers to golden rows written and graded?

    python -m benchmarks.bench_scoring [--model FOLDER --source FILE] [--rows 200] [--rounds 3]

Baseline: a plain `model.generate` for each row, as a script would, with the same room for an answer, the same tokens to
stop at, and the same grading. By default the embedded model on the embedded rows; `--model` and `--source` take
others (messages as JSON lines). The answers of both have to be the same, but for ties that another order of sums
decides otherwise. Wanted: at least 4 times the baseline's speed.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from tunesmith import demo
from tunesmith.data.rows import Row
from tunesmith.evaluation.generation import Decoding, Prompt, context_tokens, generate, stop_ids
from tunesmith.evaluation.golden import GoldenRow, render_rows
from tunesmith.evaluation.grading import Grader
from tunesmith.evaluation.measurement import answer_room, answerable, row_limit
from tunesmith.training.model import load_model, load_tokenizer
from tunesmith.training.rendering import Renderer

METRICS = ("exact_match", "token_f1", "answer_tokens", "stopped")


def golden_rows(source: Path | None, folder: Path, count: int) -> tuple[list[Row], str]:
    """The first rows of a source, read as load_dataset reads it, and their kind."""
    import anyio
    from mcp import Client

    from benchmarks.bench_first_step import call
    from benchmarks.measuring import end_host, server_of
    from tunesmith.data.rows import read_rows
    from tunesmith.jobs.files import read_document
    from tunesmith.jobs.paths import Store
    from tunesmith.schemas.datasets import DatasetCard

    store = Store(folder / "store")
    parameters = server_of(store.root)
    assert parameters.env is not None
    if source is not None:
        parameters.env["TUNESMITH_ROOTS"] = str(source.parent)

    async def load() -> str:
        async with Client(parameters) as client:
            arguments = {"source": "demo" if source is None else str(source), "max_rows": count}
            found = await call(client, "load_dataset", **arguments)
            return str(found["dataset_id"])

    dataset = store.handle(anyio.run(load))
    end_host(store)
    card = read_document(dataset.result, DatasetCard)
    assert card is not None
    return read_rows(dataset.rows), card.row_kind


def batched(model: Any, tokenizer: Any, rows: list[GoldenRow], stops: list[int]) -> list[str]:
    """As evaluate_model writes them."""
    prompts = [Prompt(row.prompt_ids, answer_room(row.reference_tokens)) for row in rows]
    written = generate(
        model, tokenizer, prompts, Decoding(stops), on_batch=lambda _: None, interrupted=lambda: False
    )
    grader = Grader(METRICS, [row.reference for row in rows])
    for answer, row in zip(written, rows, strict=True):
        grader.grade(answer, row.reference)
    return [answer.text for answer in written]


def one_by_one(model: Any, tokenizer: Any, rows: list[GoldenRow], stops: list[int]) -> list[str]:
    """As a plain script would that knows the model's context."""
    texts, context = [], context_tokens(model)
    for row in rows:
        with torch.inference_mode():
            output = model.generate(
                torch.tensor([row.prompt_ids]),
                attention_mask=torch.ones(1, len(row.prompt_ids), dtype=torch.long),
                max_new_tokens=min(answer_room(row.reference_tokens), context - len(row.prompt_ids)),
                do_sample=False,
                eos_token_id=stops,
                pad_token_id=tokenizer.pad_token_id,
            )
        new = output[0, len(row.prompt_ids) :].tolist()
        end = next((at for at, token in enumerate(new) if token in stops), None)
        texts.append(
            tokenizer.decode(new[:end], skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )
    return texts


def measure(model_folder: Path, source: Path | None, count: int, rounds: int) -> float:
    """The ratio of the medians."""
    with tempfile.TemporaryDirectory() as scratch:
        stored, kind = golden_rows(source, Path(scratch), count)
    tokenizer = load_tokenizer(model_folder)
    model = load_model(model_folder, precision="float32", quantization=None, for_training=False)
    limit = row_limit(model)
    renderer = Renderer(tokenizer, kind, limit)
    found = render_rows(renderer, stored).rows
    rows = [found[place] for place in answerable(found, limit)][:count]
    stops = sorted({*stop_ids(model, tokenizer), *renderer.stop_ids()})
    took: dict[str, list[float]] = {"batched": [], "one by one": []}
    texts: dict[str, list[str]] = {}
    for _ in range(rounds):
        for name, write in (("one by one", one_by_one), ("batched", batched)):
            began = time.monotonic()
            texts[name] = write(model, tokenizer, rows, stops)
            took[name].append(time.monotonic() - began)
    same = sum(ours == plain for ours, plain in zip(*texts.values(), strict=True))
    plain, ours = (statistics.median(took[name]) for name in ("one by one", "batched"))
    print(
        f"{len(rows)} rows: one by one median {plain:.2f} s, batched {ours:.2f} s, {plain / ours:.1f} x; ",
        end="",
    )
    print(f"{same} of {len(rows)} answers are the same to the letter")
    return plain / ours


def main() -> None:
    """Measure, and fail when it is too slow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--source", type=Path)
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    if (given.model is None) != (given.source is None):
        parser.error("--model and --source go together")
    ratio = measure(given.model or demo.base_model_path(), given.source, given.rows, given.rounds)
    raise SystemExit(0 if ratio >= 4 else 1)


if __name__ == "__main__":
    main()

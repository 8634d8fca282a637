"""One training in a process of its own, by Tunesmith, by a plain TRL script, or by Unsloth; benchmarks/throughput.py
runs it. Prints one line of JSON.

`python -m benchmarks.one_training {tunesmith,trl,unsloth} STORE PLAN_ID ROWS.json`

The others get the very rows and numbers that the plan has; everything that the plan does not say is as it comes.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NO_LOSS = -100


class Steps:
    """Seconds and tokens of each optimizer step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.tokens: list[int] = []
        self._began = 0.0

    def begin(self) -> None:
        self._began = time.perf_counter()

    def end(self, tokens_so_far: int) -> None:
        self.seconds.append(time.perf_counter() - self._began)
        self.tokens.append(tokens_so_far)

    def speed(self) -> float:
        """Tokens a second, without the first step, which sets everything up."""
        return (self.tokens[-1] - self.tokens[0]) / sum(self.seconds[1:])


def ours(store: Path, plan_id: str) -> tuple[Steps, Any]:
    """As a training job does it."""
    import tunesmith.worker  # noqa: F401 - as in each job process, before torch is there
    from tunesmith.jobs.files import read_document
    from tunesmith.jobs.paths import Store
    from tunesmith.schemas.plans import Plan
    from tunesmith.training.inputs import load_base, read_inputs
    from tunesmith.training.methods import attach
    from tunesmith.training.reporting import Reporter
    from tunesmith.training.trainer import train

    steps = Steps()

    class Watch(Reporter):
        def __init__(self) -> None:
            self.stopped = self.ended = False

        def watch(self, *_: Any) -> None:
            pass

        def restore_best(self) -> None:
            pass

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            pass

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            steps.begin()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            steps.end(state.num_input_tokens_seen)

        def on_log(self, *_: Any, **__: Any) -> None:
            pass

        def waited_for_data(self, seconds: float) -> None:
            pass

    places = Store(store)
    plan = read_document(places.handle(plan_id).result, Plan)
    assert plan is not None
    inputs = read_inputs(places, plan)
    model = attach(load_base(inputs, plan), plan.config, inputs.end_ids)
    with tempfile.TemporaryDirectory() as scratch:
        train(model, inputs.tokenizer, inputs.train.rows, plan.config, Watch(), Path(scratch), None)
    return steps, model


def plain_trl(given: dict[str, Any]) -> tuple[Steps, Any]:
    """SFTTrainer with its defaults."""
    from transformers import AutoModelForCausalLM

    return _trl(
        AutoModelForCausalLM.from_pretrained(given["model"], dtype=given["dtype"]), given, _lora(given)
    )


def unsloth(given: dict[str, Any]) -> tuple[Steps, Any]:
    """Unsloth's model under the same SFTTrainer."""
    from unsloth import FastLanguageModel  # first: it changes what the others import

    model, _ = FastLanguageModel.from_pretrained(
        given["model"], max_seq_length=given["max_length"], dtype=None, load_in_4bit=False
    )
    model = FastLanguageModel.get_peft_model(
        model, r=given["r"], lora_alpha=given["alpha"], lora_dropout=0, target_modules=given["target_modules"]
    )
    return _trl(model, given, None)


def _lora(given: dict[str, Any]) -> Any:
    from peft import LoraConfig

    return LoraConfig(
        r=given["r"],
        lora_alpha=given["alpha"],
        lora_dropout=given["dropout"],
        target_modules=given["target_modules"],
    )


def _trl(model: Any, given: dict[str, Any], peft_config: Any) -> tuple[Steps, Any]:
    import torch
    from datasets import Dataset
    from transformers import AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    steps = Steps()

    class Watch(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            steps.begin()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            steps.end(trainer._total_train_tokens)

    tokenizer = AutoTokenizer.from_pretrained(given["model"])
    tokenizer.pad_token_id = given["pad_token_id"]
    rows = given["train"]
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=model,
            processing_class=tokenizer,
            train_dataset=Dataset.from_dict(
                {"input_ids": [row[0] for row in rows], "labels": [row[1] for row in rows]}
            ),
            args=SFTConfig(
                output_dir=folder,
                per_device_train_batch_size=given["batch_size"],
                learning_rate=given["learning_rate"],
                warmup_steps=given["warmup_steps"],
                max_steps=given["total_steps"],
                max_length=given["max_length"],
                dataset_kwargs={"skip_prepare_dataset": True},
                use_cpu=not torch.cuda.is_available(),
                report_to="none",
                save_strategy="no",
                disable_tqdm=True,
            ),
            peft_config=peft_config,
            callbacks=[Watch()],
        )
        trainer.train()
    return steps, trainer.model


def held_out_loss(model: Any, rows: Sequence[Any]) -> float:
    """Nats a token, each row alone, in float32."""
    import torch

    model = model.eval().float()
    device = next(model.parameters()).device
    total, tokens = 0.0, 0
    for ids, labels in rows:
        wanted = torch.tensor(labels[1:], device=device)
        with torch.inference_mode():
            logits = model(input_ids=torch.tensor([ids], device=device), use_cache=False).logits[0, :-1]
        total += float(
            torch.nn.functional.cross_entropy(logits, wanted, ignore_index=NO_LOSS, reduction="sum")
        )
        tokens += int((wanted != NO_LOSS).sum())
    return total / tokens


def peak_bytes() -> int:
    """Of the accelerator where there is one, else of this process."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss begins with what the process held that started this one
        (line,) = (one for one in status.read_text().splitlines() if one.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Train, then print the figures."""
    how, store, plan_id, rows = sys.argv[1:]
    given = json.loads(Path(rows).read_bytes())
    if how == "tunesmith":
        dev, given = given["dev"], None  # its own rows are read from the store
        steps, model = ours(Path(store), plan_id)
    else:
        dev = given["dev"]
        steps, model = (plain_trl if how == "trl" else unsloth)(given)
    peak = peak_bytes()
    figures = {
        "tokens_per_s": steps.speed(),
        "steps": len(steps.seconds),
        "peak_bytes": peak,
        "loss": held_out_loss(model, dev),
    }
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()

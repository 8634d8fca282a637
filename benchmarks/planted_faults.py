"""The faults that benchmarks/diagnosis.py plants, and the sound runs beside them."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any
from unittest.mock import patch

from benchmarks.planted_runs import HELD_OUT, Rows, demo_rows
from tunesmith.demo.task import record
from tunesmith.demo.world import draw_order, order_sentences
from tunesmith.training import step_batches, train_job
from tunesmith.training.rendering import NO_LOSS, Rendered, RenderedRows

Fault = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Case:
    """A run with a fault in its `rows`, its `arguments` for configure_lora, or the code (`fault`), which a fix on the
    data's side takes away. `expected`: any of these codes is right. `healthy` are the rows without the fault."""

    name: str
    expected: frozenset[str]
    rows: Rows
    arguments: dict[str, Any] = field(default_factory=dict)
    fault: Fault = nullcontext
    healthy: Rows | None = None
    task: str = "orders"
    judged_by: str = "golden"
    """`golden`, or `retention`: which loss a fix has to lower."""
    fixed_by: str = "arguments"
    """`arguments` of the proposed call; `person`: sound rows, or code, as the recovery asks for; `nothing` in here."""


def order_rows(count: int, start: int = HELD_OUT) -> Rows:
    """Rows of the demo's task, none of them held out."""
    return demo_rows()[start : start + count]


def tale_rows(count: int, seed: int = 0) -> Rows:
    """The demo's task the other way round: a record in, one of five sentences out, with a day and a seller that
    nobody can know. What a model learns of these by heart it cannot use elsewhere."""
    chance = random.Random(seed)
    rows = []
    for _ in range(count):
        order = draw_order(chance)
        told = chance.choice(order_sentences(order))
        rows.append({"instruction": f"Tell the order: {record(order)}", "response": told})
    return rows


def shuffled(rows: Rows, seed: int = 1) -> Rows:
    """Every answer beside another row's prompt."""
    answers = [row["response"] for row in rows]
    random.Random(seed).shuffle(answers)
    return [{**row, "response": answer} for row, answer in zip(rows, answers, strict=True)]


def copied(rows: Rows, seed: int = 2) -> Rows:
    """A twentieth of the rows 36 times over, each copy with other words at its end."""
    chance = random.Random(seed)
    copies = [
        {**row, "instruction": f"{row['instruction']} {first} {second}"}
        for row in rows[: len(rows) // 20]
        for first in ("Please.", "Now.", "Thanks.", "Today.", "Soon.", "Again.")
        for second in ("Quickly.", "Well.", "Here.", "Go.", "Yes.", "Do.")
    ]
    mixed = [*rows, *copies]
    chance.shuffle(mixed)
    return mixed


@contextmanager
def relabelled(change: Callable[[Rendered], Rendered]) -> Iterator[None]:
    """Training rows are rendered wrongly, after the mask was checked; held-out rows are not."""
    read = train_job.read_inputs

    def wrong(*arguments: Any, **keywords: Any) -> Any:
        found = read(*arguments, **keywords)
        return replace(
            found, train=RenderedRows([change(row) for row in found.train.rows], found.train.dropped)
        )

    with patch.object(train_job, "read_inputs", wrong):
        yield


def only_the_end(row: Rendered) -> Rendered:
    """The answer is masked; its end carries loss."""
    return replace(row, labels=[NO_LOSS] * (len(row.labels) - 1) + row.labels[-1:])


def everything(row: Rendered) -> Rendered:
    """The prompt carries loss too."""
    return replace(row, labels=[NO_LOSS, *row.input_ids[1:]])


def endless(row: Rendered) -> Rendered:
    """Without the token that ends an answer."""
    return replace(row, input_ids=row.input_ids[:-1], labels=row.labels[:-1])


@contextmanager
def dead_gradients() -> Iterator[None]:
    """No gradient reaches the adapters of attention, as where they hang beside what computes the loss."""
    attach = train_job.attach

    def cut_off(*arguments: Any, **keywords: Any) -> Any:
        model = attach(*arguments, **keywords)
        for name, weight in model.named_parameters():
            if weight.requires_grad and "self_attn" in name:
                weight.register_hook(lambda gradient: gradient * 0)
        return model

    with patch.object(train_job, "attach", cut_off):
        yield


@contextmanager
def broken_gradients() -> Iterator[None]:
    """A backward pass that divides by zero."""
    attach = train_job.attach

    def broken(*arguments: Any, **keywords: Any) -> Any:
        model = attach(*arguments, **keywords)
        for weight in model.parameters():
            if weight.requires_grad:
                weight.register_hook(lambda gradient: gradient * math.nan)
        return model

    with patch.object(train_job, "attach", broken):
        yield


@contextmanager
def slow_rows() -> Iterator[None]:
    """Each batch takes a while to come."""
    make = step_batches.Batcher.__call__

    def late(self: Any, rows: Any) -> Any:
        time.sleep(0.15)
        return make(self, rows)

    with patch.object(step_batches.Batcher, "__call__", late):
        yield


@contextmanager
def full_memory() -> Iterator[None]:
    """The machine has hardly more memory than the training takes."""
    from tunesmith.training.hardware import peak_memory_bytes

    with patch.object(train_job, "memory_room", lambda: int(1.05 * peak_memory_bytes())):
        yield


def cases(usual_rate: float) -> list[Case]:
    """The planted ones. `usual_rate` is what the planner takes for the demo model."""
    rows = order_rows(240)
    loud, quiet = frozenset({"learning_rate_too_high", "diverged", "not_a_number"}), {"learning_rate_too_low"}
    return [
        Case("learning rate 100 x", loud, rows, {"learning_rate": 100 * usual_rate, "epochs": 3.0}),
        Case(
            "weights blown up", loud, rows, {"learning_rate": 1.0, "tuning_method": "full", "max_steps": 60}
        ),
        Case(
            "30 epochs on 40 rows",
            frozenset({"overfitting"}),
            tale_rows(40),
            {"epochs": 30.0, "r": 32, "target_modules": ["all-linear"]},
            task="tales",
        ),
        Case(
            "shuffled labels",
            frozenset({"prompt_ignored", "rows_unlike_held_out"}),
            shuffled(rows),
            healthy=rows,
            fixed_by="person",
        ),
        Case(
            "masked answers",
            frozenset({"loss_on_wrong_tokens"}),
            rows,
            {"epochs": 2.0},
            fault=lambda: relabelled(only_the_end),
            healthy=rows,
            fixed_by="person",
        ),
        Case(
            "loss on the prompts too",
            frozenset({"loss_on_wrong_tokens"}),
            rows,
            {"epochs": 2.0},
            fault=lambda: relabelled(everything),
            healthy=rows,
            fixed_by="person",
        ),
        Case(
            "answers cut at max_length", frozenset({"never_stops"}), rows, {"max_length": 56, "epochs": 2.0}
        ),
        Case(
            "missing end token",
            frozenset({"never_stops"}),
            rows,
            {"epochs": 2.0},
            fault=lambda: relabelled(endless),
            fixed_by="nothing",
        ),
        Case(
            "learning rate / 1000",
            frozenset(quiet),
            rows,
            {"learning_rate": usual_rate / 1000, "epochs": 2.0},
        ),
        Case("learning rate / 30", frozenset(quiet), rows, {"learning_rate": usual_rate / 30, "epochs": 2.0}),
        Case("too few steps", frozenset({"still_improving"}), rows, {"max_steps": 12}),
        Case("duplicated rows", frozenset({"duplicated_rows"}), copied(order_rows(120)), {"max_steps": 30}),
        Case(
            "adapter without effect",
            frozenset({"adapter_without_effect"}),
            rows,
            {"max_steps": 40},
            fault=dead_gradients,
        ),
        Case(
            "too few weights",
            frozenset({"plateau"}),
            rows,
            {"tuning_method": "prompt_tuning", "num_virtual_tokens": 1, "epochs": 8.0},
        ),
        Case(
            "retention collapse",
            frozenset({"forgetting"}),
            rows,
            {"learning_rate": 10 * usual_rate, "target_modules": ["all-linear"], "epochs": 3.0},
            judged_by="retention",
        ),
        Case(
            "gradients that are no numbers",
            frozenset({"not_a_number"}),
            order_rows(80),
            {"max_steps": 24},
            fault=broken_gradients,
            fixed_by="nothing",
        ),
        Case(
            "slow input",
            frozenset({"slow_input"}),
            order_rows(80),
            {"max_steps": 24},
            fault=slow_rows,
            fixed_by="nothing",
        ),
        Case(
            "full memory",
            frozenset({"memory_edge"}),
            order_rows(80),
            {"max_steps": 24},
            fault=full_memory,
            fixed_by="nothing",
        ),
        Case("few rows", frozenset({"too_few_rows"}), order_rows(30), fixed_by="nothing"),
    ]


def sound() -> list[Case]:
    """Twenty runs as configure_lora plans them, with other seeds, sizes, tasks and methods."""
    found = []
    for seed in range(20):
        size = (60, 100, 160, 240, 400)[seed % 5]
        task = "tales" if seed % 4 == 3 else "orders"
        rows = tale_rows(size, seed=100 + seed) if task == "tales" else order_rows(size, HELD_OUT + 13 * seed)
        found.append(Case(f"sound {seed}: {size} {task}", frozenset(), rows, {"seed": seed}, task=task))
    return found

"""All tools, in the order of work, with what a client has to know of each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tunesmith.tools import (
    build_golden_set,
    clean_dataset,
    compare_models,
    configure_lora,
    evaluate_model,
    find_models,
    generate_text,
    get_status,
    list_runs,
    load_dataset,
    push_to_hub,
    start_training,
    stop_training,
)


@dataclass(frozen=True)
class ToolSpec:
    """A tool: its function, how its result is put into words, and MCP's four hints about what it does."""

    function: Callable[..., Awaitable[Any]]
    describe: Callable[[Any], str]
    title: str
    read_only: bool = False
    destructive: bool = False
    idempotent: bool = False
    open_world: bool = False

    @property
    def name(self) -> str:
        return self.function.__name__


TOOLS: tuple[ToolSpec, ...] = (
    ToolSpec(load_dataset.load_dataset, load_dataset.describe, "Load a dataset", open_world=True),
    ToolSpec(clean_dataset.clean_dataset, clean_dataset.describe, "Clean a dataset"),
    ToolSpec(build_golden_set.build_golden_set, build_golden_set.describe, "Hold out a golden set"),
    ToolSpec(
        find_models.find_models,
        find_models.describe,
        "Find base models",
        read_only=True,
        open_world=True,
    ),
    ToolSpec(configure_lora.configure_lora, configure_lora.describe, "Plan a fine-tune", open_world=True),
    ToolSpec(start_training.start_training, start_training.describe, "Start training", idempotent=True),
    ToolSpec(get_status.get_status, get_status.describe, "Status of a run", read_only=True, idempotent=True),
    ToolSpec(stop_training.stop_training, stop_training.describe, "Stop a run", idempotent=True),
    ToolSpec(
        list_runs.list_runs, list_runs.describe, "Find and compare runs", read_only=True, idempotent=True
    ),
    ToolSpec(evaluate_model.evaluate_model, evaluate_model.describe, "Score a model", open_world=True),
    ToolSpec(compare_models.compare_models, compare_models.describe, "Compare models", open_world=True),
    ToolSpec(generate_text.generate_text, generate_text.describe, "Try a model", open_world=True),
    ToolSpec(
        push_to_hub.push_to_hub,
        push_to_hub.describe,
        "Push a run to the Hub",
        destructive=True,
        idempotent=True,
        open_world=True,
    ),
)

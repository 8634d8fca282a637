"""Does a model learn to stop, and does it generate behind the very prompt it was trained on?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tunesmith.evaluation.generation import Decoding, Prompt, generate
from tunesmith.evaluation.scoring import score
from tunesmith.training.rendering import NO_LOSS, Rendered, Renderer

PROBED_ANSWERS = 4
_ROOM = 16


@dataclass(frozen=True)
class Probe:
    """Training rows that are whole, with what generation is given before each one's last answer."""

    prompts: list[list[int]]
    rows: list[Rendered]
    stop_ids: list[int]

    def misplaced_prompts(self) -> int:
        """Rows that do not begin with what generation would be given: the model would answer another text than it
        learned from."""
        pairs = zip(self.prompts, self.rows, strict=True)
        return sum(row.input_ids[: len(prompt)] != prompt for prompt, row in pairs)

    def stop_probability(self, model: Any) -> float | None:
        """The geometric mean of the probabilities that the model gives to the token that ends each row's last answer;
        None where no row is whole. The model is left in the mode it was in."""
        if not self.rows:
            return None
        ends = [Rendered(row.input_ids, _only_last(row.labels)) for row in self.rows]
        was_training = model.training
        model.eval()
        try:
            scores = score(model, ends, lambda _: None)
        finally:
            model.train(was_training)
        return math.exp(-sum(each.loss for each in scores) / sum(each.tokens for each in scores))

    def stops(self, model: Any, tokenizer: Any) -> tuple[int, int]:
        """Of some answers that are generated as `generate_text` does: how many end by themselves, and of how many."""
        asked = [
            Prompt(prompt, 2 * (len(row.input_ids) - len(prompt)) + _ROOM)
            for prompt, row in zip(self.prompts[:PROBED_ANSWERS], self.rows, strict=False)
        ]
        model.eval()
        written = generate(
            model,
            tokenizer,
            asked,
            Decoding(self.stop_ids),
            on_batch=lambda _: None,
            interrupted=lambda: False,
        )
        return sum(answer.stopped == "eos" for answer in written), len(written)


def probe_of(renderer: Renderer, rows: Sequence[Any]) -> Probe:
    """The probe of some stored rows; those that cannot be rendered, or are cut, are left out."""
    rendered = [
        (renderer.prompt_ids(row), whole) for row in rows if (whole := _whole(renderer, row)) is not None
    ]
    return Probe([prompt for prompt, _ in rendered], [row for _, row in rendered], renderer.stop_ids())


def _whole(renderer: Renderer, row: Any) -> Rendered | None:
    found = renderer.render_all([row]).rows
    return found[0] if found and not found[0].truncated else None


def _only_last(labels: Sequence[int]) -> list[int]:
    last = max(place for place, label in enumerate(labels) if label != NO_LOSS)
    return [label if place == last else NO_LOSS for place, label in enumerate(labels)]

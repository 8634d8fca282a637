"""The form that a model knows around what a user would write."""

from __future__ import annotations

from collections.abc import Sequence
from string import Formatter

from tunesmith.data.templates import instruction_prompt
from tunesmith.evaluation.generation import stop_ids
from tunesmith.evaluation.subject import Subject
from tunesmith.jobs.files import read_document
from tunesmith.jobs.paths import Store
from tunesmith.schemas.datasets import DatasetCard
from tunesmith.schemas.enums import DataFormat
from tunesmith.schemas.errors import InvalidArgument, UnsupportedModel
from tunesmith.schemas.plans import Plan
from tunesmith.training.rendering import Renderer, RowDropped


class Wrapper:
    """Puts the form that a model knows around what a user would write."""

    def __init__(self, store: Store, subject: Subject) -> None:
        self._subject = subject
        self._template = None if subject.plan is None else _dataset_template(store, subject.plan)
        plan, tokenizer = subject.plan, subject.tokenizer
        self._is_chat = plan.format is DataFormat.CHAT if plan is not None else bool(tokenizer.chat_template)
        self._renderer = Renderer(tokenizer, "messages" if self._is_chat else "prompt_completion", None)

    def ids(self, prompt: str) -> list[int]:
        """The prompt's tokens in the model's own form."""
        plan = self._subject.plan
        if self._is_chat:
            try:
                return self._renderer.chat_prompt_ids([{"role": "user", "content": prompt}])
            except RowDropped as drop:
                raise UnsupportedModel(
                    f"The chat template of {self._subject.name} does not take a single user message.",
                    "Use a model with another chat template.",
                ) from drop
        if self._template is not None:
            prompt = filled(self._template, prompt)
        elif plan is not None and plan.format is DataFormat.INSTRUCTION:
            prompt = instruction_prompt(prompt)
        return self._renderer.prompt_ids({"prompt": prompt})

    def stop_ids(self) -> list[int]:
        """End-of-text tokens, and the one that closes an assistant's turn in the chat template."""
        return sorted({*stop_ids(self._subject.model, self._subject.tokenizer), *self._renderer.stop_ids()})


def filled(template: str, prompt: str) -> str:
    """`prompt` in the place of the template's one placeholder; with several the caller writes it all."""
    parts = list(Formatter().parse(template))
    if len({name for _, name, _, _ in parts if name is not None}) != 1:
        return prompt
    return "".join(literal + ("" if name is None else prompt) for literal, name, _, _ in parts)


def _dataset_template(store: Store, plan: Plan) -> str | None:
    card = read_document(store.handle(plan.dataset_id).result, DatasetCard)
    return None if card is None else card.template


def require_room(prompts: Sequence[Sequence[int]], context: int) -> None:
    """See to it that each prompt, as token ids, leaves room for an answer.

    Raises:
        InvalidArgument: one does not.
    """
    for place, prompt in enumerate(prompts):
        if len(prompt) >= context:
            raise InvalidArgument(
                f"prompts[{place}] is {len(prompt)} tokens long in the model's form, and the model has "
                "room for "
                f"{context} tokens of prompt and answer together.",
                "Shorten it and make the call again.",
            )

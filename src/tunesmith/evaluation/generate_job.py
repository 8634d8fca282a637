"""The job behind generate_text: what a model writes behind prompts."""

from __future__ import annotations

from string import Formatter

from tunesmith.data.templates import instruction_prompt
from tunesmith.evaluation.generation import Decoding, Prompt, context_tokens, generate, stop_ids
from tunesmith.evaluation.kept_subject import kept_subject
from tunesmith.evaluation.measurement import Progress
from tunesmith.evaluation.subject import Subject
from tunesmith.jobs.context import JobContext
from tunesmith.jobs.files import read_document
from tunesmith.jobs.paths import Store
from tunesmith.jobs.scrub import scrub
from tunesmith.schemas.datasets import DatasetCard
from tunesmith.schemas.enums import DataFormat
from tunesmith.schemas.errors import InvalidArgument, UnsupportedModel
from tunesmith.schemas.evaluations import GenerateRequest, Generation, Output
from tunesmith.schemas.plans import Plan
from tunesmith.training.failures import training_failures
from tunesmith.training.rendering import Renderer, RowDropped

SHOWN_CHARACTERS = 4000


def run(job: JobContext) -> Generation:
    """Continue each prompt, wrapped as the model knows it.

    For a run that is the form of its training rows: the dataset's own template, the instruction form, one
    user message, or nothing. For a base model it is one user message where its tokenizer has a chat template.

    Raises:
        InvalidArgument: a prompt leaves no room in the model's context.
        Stopped: a stop was requested.
        OutOfMemory, and what `evaluation.subject` raises about the model.
    """
    with training_failures(job.paths.folder, "Use a smaller model, fewer prompts or fewer max_new_tokens."):
        return _generate(job)


def _generate(job: JobContext) -> Generation:
    request = job.request(GenerateRequest)
    job.phase("loading the model")
    subject = kept_subject(job.store, request.model)
    wrapper = _Wrapper(job.store, subject)
    prompts = [Prompt(wrapper.ids(prompt), request.max_new_tokens) for prompt in request.prompts]
    _require_room(prompts, context_tokens(subject.model))
    job.phase("writing")
    written = generate(
        subject.model,
        subject.tokenizer,
        prompts,
        Decoding(wrapper.stop_ids(), request.temperature, request.top_p, request.seed),
        on_batch=Progress(job, len(prompts)),
        interrupted=job.stop_requested,
    )
    return Generation(
        generation_id=job.handle,
        outputs=[
            Output(
                prompt=place,
                untrusted_text=scrub(answer.text, SHOWN_CHARACTERS),
                new_tokens=answer.new_tokens,
                stopped=answer.stopped,
            )
            for place, answer in enumerate(written)
        ],
    )


class _Wrapper:
    """Puts the form that a model knows around what a user would write."""

    def __init__(self, store: Store, subject: Subject) -> None:
        self._subject = subject
        self._template = None if subject.plan is None else _dataset_template(store, subject.plan)
        plan, tokenizer = subject.plan, subject.tokenizer
        self._is_chat = plan.format is DataFormat.CHAT if plan is not None else bool(tokenizer.chat_template)
        self._renderer = Renderer(tokenizer, "messages" if self._is_chat else "prompt_completion", None)

    def ids(self, prompt: str) -> list[int]:
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


def _require_room(prompts: list[Prompt], context: int) -> None:
    for place, prompt in enumerate(prompts):
        if len(prompt.ids) >= context:
            raise InvalidArgument(
                f"prompts[{place}] is {len(prompt.ids)} tokens long in the model's form, and the model has "
                "room for "
                f"{context} tokens of prompt and answer together.",
                "Shorten it and call generate_text again.",
            )

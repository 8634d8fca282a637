"""The job behind generate_text: what a model writes behind prompts."""

from __future__ import annotations

from tunesmith.evaluation.generation import Decoding, Prompt, context_tokens, generate
from tunesmith.evaluation.kept_subject import kept_subject
from tunesmith.evaluation.measurement import Progress
from tunesmith.evaluation.wrapping import Wrapper, require_room
from tunesmith.jobs.context import JobContext
from tunesmith.jobs.scrub import scrub
from tunesmith.schemas.evaluations import GenerateRequest, Generation, Output
from tunesmith.training.failures import training_failures

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
    wrapper = Wrapper(job.store, subject)
    prompts = [Prompt(wrapper.ids(prompt), request.max_new_tokens) for prompt in request.prompts]
    require_room([prompt.ids for prompt in prompts], context_tokens(subject.model))
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

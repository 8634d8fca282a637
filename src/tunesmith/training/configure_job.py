"""The configuring job: a request in, a plan with every number resolved out. Only a range test loads weights."""

from __future__ import annotations

import shutil
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import Any

from tunesmith.data.rows import iter_rows
from tunesmith.jobs import clock
from tunesmith.jobs.context import JobContext
from tunesmith.jobs.files import read_document
from tunesmith.jobs.paths import Store
from tunesmith.schemas.datasets import DatasetCard, GoldenSetCard
from tunesmith.schemas.errors import Mismatch, NotReady
from tunesmith.schemas.overrides import check_overrides
from tunesmith.schemas.plans import ConfigureRequest, Fits, Plan
from tunesmith.training.base_sketch import sketch_base
from tunesmith.training.facts import measure_rows, read_model_facts
from tunesmith.training.hardware import this_machine
from tunesmith.training.learning_rates import scaled_learning_rate, usual_rate_warnings
from tunesmith.training.method_checks import check_method
from tunesmith.training.model import ResolvedModel, load_tokenizer, resolve_base
from tunesmith.training.planning import decide
from tunesmith.training.rendering import Renderer, forgotten_answers, show

_LIBRARIES = ("tunesmith", "torch", "transformers", "peft", "trl", "bitsandbytes", "accelerate", "datasets")
_LOOKED_AT = 200
"""Rows that are rendered to see whether the template shows every answer."""


def run(job: JobContext) -> Plan:
    """Resolve the job's request.

    Raises:
        InvalidArgument: an override cannot be honoured.
        NotReady, Mismatch: the dataset or the golden set.
        ModelNotFound, UnsafeModel, UnsupportedModel, HubUnavailable, HubAuth: the base model.
        EmptyMask: no row could be trained on.
    """
    request = job.request(ConfigureRequest)
    check_overrides(request)
    dataset, golden = _data(job.store, request)
    job.phase("looking at the base model")
    base = _look_at_base(job, request)
    tokenizer = load_tokenizer(base.folder)
    model = read_model_facts(base.folder)
    job.phase("measuring the rows")
    uncut = Renderer(tokenizer, dataset.row_kind, max_length=None)
    rows_path = job.store.handle(request.dataset_id).rows
    data = measure_rows(uncut, iter_rows(rows_path), dataset.rows)
    decision = decide(
        request,
        model,
        data,
        this_machine(),
        base_revision=base.revision,
        loss_on="assistant" if dataset.row_kind == "messages" else "completion",
        chat_template=uncut.chat_template,
        dev_rows=0 if golden is None else golden.dev_rows,
        init_text_tokens=_text_tokens(request, tokenizer),
    )
    warnings = decision.warnings + check_method(base.folder, decision.config, model.matrices)
    _fetch_weights(job, request, base, decision.fit)
    warnings += forgotten_answers(uncut, islice(iter_rows(rows_path), _LOOKED_AT))
    plan = Plan(
        plan_id=job.handle,
        dataset_id=request.dataset_id,
        golden_set_id=request.golden_set_id,
        format=dataset.format,
        train_rows=dataset.rows,
        config=decision.config,
        reasons=decision.reasons,
        memory=decision.memory,
        peaks=decision.peaks,
        fit=decision.fit,
        machine=decision.machine,
        remedies=decision.remedies,
        usual_learning_rate=scaled_learning_rate(request.tuning_method, model.hidden_size, model.parameters),
        estimated_seconds=decision.estimated_seconds,
        warnings=warnings + ([_NO_GOLDEN_SET] if golden is None else []),
        example=show(data.example, tokenizer),
        dataset_fingerprint=dataset.fingerprint,
        golden_dev_fingerprint=None if golden is None else golden.dev_fingerprint,
        base_fingerprint=base.fingerprint,
        versions=_versions(),
        created_at=clock.timestamp(),
    )
    return _with_probed_rate(job, plan) if plan.config.learning_rate_probe else plan


def _with_probed_rate(job: JobContext, plan: Plan) -> Plan:
    """The plan with the learning rate that a range test finds; with the usual one where the model does not fit here."""
    if plan.fit == "does_not_fit":
        warning = (
            "No range test was made, because the model does not fit here: learning_rate is the usual one."
        )
        config = plan.config.model_copy(update={"learning_rate_probe": False})
        return plan.model_copy(update={"config": config, "warnings": [*plan.warnings, warning]})
    from tunesmith.training.rate_probe import probe_rate

    choice = probe_rate(job, plan)
    config = plan.config.model_copy(update={"learning_rate": choice.learning_rate})
    # What was said of the usual rate is not true of this one.
    warnings = [warning for warning in plan.warnings if not warning.startswith("learning_rate ")]
    return plan.model_copy(
        update={
            "config": config,
            "reasons": {**plan.reasons, "learning_rate": choice.why},
            "warnings": warnings + usual_rate_warnings(config.tuning_method, choice.learning_rate),
        }
    )


_NO_GOLDEN_SET = (
    "Without a golden set nothing is held out: there will be no eval_loss and no honest verdict. Call "
    "build_golden_set first and configure with its golden_set_id and train_dataset_id."
)


def _look_at_base(job: JobContext, request: ConfigureRequest) -> ResolvedModel:
    if request.base_model_kind == "hub":
        shutil.rmtree(job.paths.scratch, ignore_errors=True)
        return sketch_base(request.base_model, _sketch_folder(job, request))
    return resolve_base(request.base_model_kind, request.base_model, request.base_model_path, None)


def _sketch_folder(job: JobContext, request: ConfigureRequest) -> Path:
    """Called as the Hub's cache calls it, from which messages take the model's name."""
    return job.paths.scratch / f"models--{request.base_model.replace('/', '--')}" / "snapshots" / "sketch"


def _fetch_weights(job: JobContext, request: ConfigureRequest, base: ResolvedModel, fit: Fits) -> None:
    """What fits is fetched now, while this process has the caller's token; training runs in one that has none."""
    if base.folder != _sketch_folder(job, request):
        return
    if fit != "does_not_fit":
        job.phase("downloading the base model")
        resolve_base("hub", request.base_model, None, base.revision)
    shutil.rmtree(job.paths.scratch, ignore_errors=True)


def _text_tokens(request: ConfigureRequest, tokenizer: Any) -> int | None:
    text = request.prompt_tuning_init_text
    return None if text is None else len(tokenizer(text, add_special_tokens=False)["input_ids"])


def _data(store: Store, request: ConfigureRequest) -> tuple[DatasetCard, GoldenSetCard | None]:
    dataset = read_document(store.handle(request.dataset_id).result, DatasetCard)
    if dataset is None:
        raise _not_ready("dataset", request.dataset_id)
    if request.golden_set_id is None:
        return dataset, None
    golden = read_document(store.handle(request.golden_set_id).result, GoldenSetCard)
    if golden is None:
        raise _not_ready("golden set", request.golden_set_id)
    if golden.train_dataset_id != request.dataset_id:
        raise Mismatch(
            f"The golden set {request.golden_set_id} was held out from another dataset than {request.dataset_id}: "
            "its rows could be in the training data.",
            f"Call configure_lora(base_model={request.base_model!r}, dataset_id={golden.train_dataset_id!r}, "
            f"golden_set_id={request.golden_set_id!r}).",
        )
    return dataset, golden


def _not_ready(noun: str, handle: str) -> NotReady:
    return NotReady(
        f"The {noun} {handle} is not finished.",
        f"Call get_status(run_id={handle!r}) until it has succeeded, then configure_lora again.",
    )


def _versions() -> dict[str, str]:
    found = {}
    for library in _LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    return found

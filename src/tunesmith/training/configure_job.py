"""The configuring job: a request in, a plan with every number resolved out. No weights are loaded."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from tunesmith.data.rows import iter_rows
from tunesmith.jobs import clock
from tunesmith.jobs.context import JobContext
from tunesmith.jobs.files import read_document
from tunesmith.jobs.paths import Store
from tunesmith.schemas.datasets import DatasetCard, GoldenSetCard
from tunesmith.schemas.errors import Mismatch, NotReady
from tunesmith.schemas.overrides import check_overrides
from tunesmith.schemas.plans import ConfigureRequest, Plan
from tunesmith.training.facts import measure_rows, read_model_facts
from tunesmith.training.hardware import this_machine
from tunesmith.training.model import load_tokenizer, resolve_base
from tunesmith.training.planning import decide
from tunesmith.training.rendering import Renderer, show

_LIBRARIES = ("tunesmith", "torch", "transformers", "peft", "trl", "bitsandbytes", "accelerate", "datasets")


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
    base = resolve_base(request.base_model_kind, request.base_model, request.base_model_path, None)
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
    )
    return Plan(
        plan_id=job.handle,
        dataset_id=request.dataset_id,
        golden_set_id=request.golden_set_id,
        format=dataset.format,
        train_rows=dataset.rows,
        config=decision.config,
        reasons=decision.reasons,
        memory=decision.memory,
        estimated_seconds=decision.estimated_seconds,
        warnings=decision.warnings + ([_NO_GOLDEN_SET] if golden is None else []),
        example=show(data.example, tokenizer),
        dataset_fingerprint=dataset.fingerprint,
        golden_dev_fingerprint=None if golden is None else golden.dev_fingerprint,
        base_fingerprint=base.fingerprint,
        versions=_versions(),
        created_at=clock.timestamp(),
    )


_NO_GOLDEN_SET = (
    "Without a golden set nothing is held out: there will be no eval_loss and no honest verdict. Call "
    "build_golden_set first and configure with its golden_set_id and train_dataset_id."
)


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

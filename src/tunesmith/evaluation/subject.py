"""The model that is looked at: a base model, or a run with the base that it can be compared with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tunesmith.evaluation.scoring import without_adapter
from tunesmith.jobs.files import read_document
from tunesmith.jobs.paths import Store
from tunesmith.jobs.snapshot import Observer
from tunesmith.schemas.enums import RunState, TuningMethod
from tunesmith.schemas.errors import NotReady
from tunesmith.schemas.evaluations import ModelReference
from tunesmith.schemas.plans import Plan, Precision
from tunesmith.schemas.runs import TrainOutcome
from tunesmith.training.model import (
    load_model,
    load_run_model,
    load_tokenizer,
    resolve_base,
    resolve_plan_base,
)


@dataclass(frozen=True)
class Subject:
    """A loaded model, in evaluation mode, with its tokenizer. `plan` and `outcome` are a run's."""

    name: str
    model: Any
    tokenizer: Any
    plan: Plan | None = None
    outcome: TrainOutcome | None = None

    @contextmanager
    def base(self, plan: Plan) -> Iterator[Any]:
        """The untuned model of a run, for as long as the `with` block lasts.

        Under an adapter it is the same model with the adapter off. After full fine-tuning it is loaded beside
        the tuned one: two sets of weights are less than the training itself needed.
        """
        if plan.config.tuning_method is TuningMethod.FULL:
            yield load_model(
                resolve_plan_base(plan).folder,
                precision=plan.config.precision,
                quantization=None,
                for_training=False,
            )
        else:
            with self.model.disable_adapter():
                yield without_adapter(self.model)


def load_subject(store: Store, reference: ModelReference) -> Subject:
    """The model that a request names.

    Raises:
        UnknownHandle, NotReady: there is no such run, or it has no weights to use.
        ModelNotFound, HubUnavailable, HubAuth, UnsafeModel, UnsupportedModel, Mismatch: as in
        `training.model`.
    """
    if reference.kind == "run":
        return _load_run(store, reference.name)
    folder = resolve_base(reference.kind, reference.name, reference.path, None).folder
    model = load_model(folder, precision=_precision(), quantization=None, for_training=False)
    return Subject(reference.name, model, load_tokenizer(folder))


def _load_run(store: Store, run_id: str) -> Subject:
    paths = store.handle(run_id)
    state = Observer(store).look(run_id).state
    if state not in (RunState.SUCCEEDED, RunState.STOPPED) or not paths.adapter.is_dir():
        raise NotReady(
            f"{run_id} has no finished weights: its state is {state.value}.",
            f'Call get_status with run_id="{run_id}": it says what to wait for or what to do.',
        )
    plan = read_document(paths.plan, Plan)
    if plan is None:
        raise NotReady(
            f"The plan of {run_id} cannot be read.",
            "Call start_training again with a plan that configure_lora makes.",
        )
    model, tokenizer = load_run_model(paths, plan)
    return Subject(run_id, model, tokenizer, plan, read_document(paths.result, TrainOutcome))


def _precision() -> Precision:
    """bfloat16 where the accelerator computes in it; a CPU is exact and hardly slower in float32."""
    import torch

    return "bfloat16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "float32"

"""What a report tells, gathered from the store. Whatever is missing or damaged is left out, never guessed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tunesmith.jobs.curves import Curves
from tunesmith.jobs.files import read_document, read_json
from tunesmith.jobs.folders import handles_in
from tunesmith.jobs.paths import Store
from tunesmith.schemas.base import SCHEMA_VERSION
from tunesmith.schemas.datasets import Ancestor, DatasetCard, GoldenSetCard
from tunesmith.schemas.enums import Half, Work
from tunesmith.schemas.evaluations import Evaluation, GenerateRequest, Generation, ModelReference
from tunesmith.schemas.plans import Plan
from tunesmith.schemas.runs import GetStatusResult, TrainOutcome, TrainRequest
from tunesmith.tools.get_status import status_of
from tunesmith.tools.lineage import lineage
from tunesmith.tools.workspace import Workspace

MOST_GENERATIONS = 5
MOST_LABELS = 12
_READ_APART = {"metrics_because", "worst", "confusion"}
"""Of an evaluation: what may be missing or damaged without its scores being so."""
Worst = dict[str, Any]
"""A row that the model does badly on: its texts are the fields that begin with `untrusted_`."""


@dataclass(frozen=True)
class Scored:
    """An evaluation of the run, and what some evaluations tell besides."""

    evaluation: Evaluation
    why_these_metrics: str | None
    worst: list[Worst]
    confusion: Confusion | None


@dataclass(frozen=True)
class Confusion:
    """`counts[i][j]`: rows of label i that were answered with label j; a last column counts other answers."""

    untrusted_labels: list[str]
    counts: list[list[int]]


@dataclass(frozen=True)
class Written:
    """What the run wrote for some prompts; `before` is what its base wrote for the same ones, if it was asked."""

    generation_id: str
    request: GenerateRequest
    after: dict[int, str]
    before: dict[int, str]


@dataclass(frozen=True)
class Facts:
    """All there is to tell of a run, as it was looked at."""

    status: GetStatusResult
    curves: Curves
    request: TrainRequest | None
    plan: Plan | None
    outcome: TrainOutcome | None
    dataset: DatasetCard | None
    ancestors: list[Ancestor]
    golden: GoldenSetCard | None
    scored: list[Scored] = field(default_factory=list)
    written: list[Written] = field(default_factory=list)

    @property
    def verdict(self) -> Scored | None:
        """The evaluation to believe: the newest comparison on the test half, otherwise on the dev half."""
        return next((scored for scored in self.scored if scored.evaluation.comparison is not None), None)


def gather(workspace: Workspace, run_id: str) -> Facts:
    """Everything about a run.

    Raises:
        UnknownHandle: this store has no such run.
    """
    snapshot = workspace.observer.look(run_id)
    store, paths = workspace.store, snapshot.paths
    plan = read_document(paths.plan, Plan)
    dataset = None if plan is None else read_document(store.handle(plan.dataset_id).result, DatasetCard)
    golden_id = None if plan is None else plan.golden_set_id
    return Facts(
        status=status_of(workspace, snapshot),
        curves=Curves.of(snapshot.ledger),
        request=read_document(paths.request, TrainRequest),
        plan=plan,
        outcome=read_document(paths.result, TrainOutcome),
        dataset=dataset,
        ancestors=[] if dataset is None else lineage(workspace, dataset),
        golden=None if golden_id is None else read_document(store.handle(golden_id).result, GoldenSetCard),
        scored=_evaluations(store, run_id),
        written=_generations(store, run_id, plan),
    )


def _evaluations(store: Store, run_id: str) -> list[Scored]:
    """Evaluations of the run: those of the test half first, of each half the newest first."""
    found = []
    for handle in handles_in(store, Work.EVALUATE):
        document = read_json(store.handle(handle).result)
        if isinstance(document, dict) and document.get("model") == run_id:
            evaluation = _evaluation(document)
            if evaluation is not None:
                why = document.get("metrics_because")
                told = why if isinstance(why, str) else None
                found.append(Scored(evaluation, told, _worst(document), _confusion(document)))
    found.sort(key=lambda scored: scored.evaluation.created_at, reverse=True)
    return sorted(found, key=lambda scored: scored.evaluation.half is not Half.TEST)


def _evaluation(document: dict[str, Any]) -> Evaluation | None:
    """What is understood of the document: fields that came with a later version are passed over."""
    wanted = Evaluation.model_fields.keys() - _READ_APART
    known = {name: document[name] for name in wanted if name in document}
    try:
        evaluation = Evaluation.model_validate(known)
    except ValidationError:
        return None
    return evaluation if evaluation.schema_version <= SCHEMA_VERSION else None


def _worst(document: dict[str, Any]) -> list[Worst]:
    told = document.get("worst")
    return [row for row in told if isinstance(row, dict)] if isinstance(told, list) else []


def _confusion(document: dict[str, Any]) -> Confusion | None:
    """The table of labels, where there is one that is not too wide to be read."""
    try:
        told = TypeAdapter(Confusion).validate_python(document.get("confusion"))
    except ValidationError:
        return None
    return told if 1 <= len(told.untrusted_labels) <= MOST_LABELS else None


def _generations(store: Store, run_id: str, plan: Plan | None) -> list[Written]:
    """What the run wrote, the newest first, each beside what its base wrote for the same prompts."""
    asked: list[tuple[float, str, GenerateRequest]] = []
    for handle in handles_in(store, Work.GENERATE):
        paths = store.handle(handle)
        try:
            request = GenerateRequest.model_validate_json(paths.request.read_bytes())
            asked.append((paths.request.stat().st_mtime, handle, request))
        except (OSError, ValidationError):
            continue
    asked.sort(key=lambda item: item[:2], reverse=True)
    of_run = [(handle, request) for _, handle, request in asked if request.model.name == run_id]
    of_base = [(handle, request) for _, handle, request in asked if plan and _is_base(request.model, plan)]
    written = []
    for handle, request in of_run[:MOST_GENERATIONS]:
        after = _outputs(store, handle)
        if not after:
            continue
        same = [base for base, other in of_base if _as_asked(other) == _as_asked(request)]
        before = next((outputs for base in same if (outputs := _outputs(store, base))), {})
        written.append(Written(handle, request, after, before))
    return written


def _is_base(model: ModelReference, plan: Plan) -> bool:
    config = plan.config
    return (model.kind, model.path or model.name) == (
        config.base_model_kind,
        config.base_model_path or config.base_model,
    )


def _as_asked(request: GenerateRequest) -> dict[str, Any]:
    return request.model_dump(exclude={"model"})


def _outputs(store: Store, handle: str) -> dict[int, str]:
    generation = read_document(store.handle(handle).result, Generation)
    return (
        {} if generation is None else {output.prompt: output.untrusted_text for output in generation.outputs}
    )

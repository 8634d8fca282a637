"""The job behind push_to_hub: from a run's folder to what `push` wants to know."""

from __future__ import annotations

from pathlib import Path

from tunesmith.jobs.context import JobContext
from tunesmith.jobs.files import read_document
from tunesmith.jobs.paths import HandlePaths, Store
from tunesmith.publishing.model_card import CardInputs, CardScores, DatasetLineage, GoldenLineage
from tunesmith.publishing.push import PushInputs, push
from tunesmith.schemas.datasets import DatasetCard, GoldenSetCard
from tunesmith.schemas.enums import Half, Work
from tunesmith.schemas.errors import NotReady
from tunesmith.schemas.evaluations import Evaluation
from tunesmith.schemas.plans import Plan
from tunesmith.schemas.publishing import Push, PushRequest


def run(job: JobContext) -> Push:
    """Push the run that the request names, or with `dry_run` say what would go up.

    Raises:
        NotReady: the run has no finished adapter.
        InvalidArgument, UnsafePath, HubAuth, HubRefused, HubUnavailable: as `push`.
    """
    request = job.request(PushRequest)
    run_paths = job.store.handle(request.run_id)
    plan = read_document(run_paths.plan, Plan)
    if plan is None or not run_paths.adapter.is_dir():
        raise NotReady(
            f"{request.run_id} has no finished adapter.",
            f'Call get_status with run_id="{request.run_id}", and push once it has succeeded.',
        )
    inputs = PushInputs(
        folder=run_paths.adapter,
        repo_id=request.repo_id,
        card=card_inputs(job.store, run_paths, plan),
        private=request.private,
        dry_run=request.dry_run,
        revision=request.revision,
        message=request.message,
    )
    outcome = push(inputs, job.phase)
    return Push(
        url=outcome.url,
        commit=outcome.commit,
        private=outcome.private,
        dry_run=outcome.dry_run,
        files=list(outcome.files),
    )


def card_inputs(store: Store, run_paths: HandlePaths, plan: Plan) -> CardInputs:
    """What the model card says of a run: its base, its data's lineage, its configuration and its newest scores."""
    config = plan.config
    return CardInputs(
        base_model=config.base_model,
        base_model_kind=config.base_model_kind,
        base_model_revision=config.base_model_revision,
        tuning_method=config.tuning_method.value,
        dataset=_lineage(store, plan),
        run_id=run_paths.handle,
        golden_set=_golden(store, plan),
        configuration=config.model_dump(mode="json"),
        evaluations=_evaluations(store, run_paths.handle),
        versions=plan.versions,
    )


def _lineage(store: Store, plan: Plan) -> DatasetLineage:
    card = read_document(store.handle(plan.dataset_id).result, DatasetCard)
    if card is None:  # the rows may have been deleted since; the plan still names them
        return DatasetLineage(
            plan.dataset_id, "unknown", "local", plan.format.value, plan.train_rows, plan.dataset_fingerprint
        )
    source = Path(card.source).name if card.source_kind == "local" else card.source
    return DatasetLineage(
        dataset_id=card.dataset_id,
        source=source,
        source_kind=card.source_kind,
        format=card.format.value,
        rows=card.rows,
        fingerprint=card.fingerprint,
        subset=card.subset,
        split=card.split if card.source_kind == "hub" else None,
        revision=card.revision,
    )


def _golden(store: Store, plan: Plan) -> GoldenLineage | None:
    if plan.golden_set_id is None:
        return None
    card = read_document(store.handle(plan.golden_set_id).result, GoldenSetCard)
    return None if card is None else GoldenLineage(card.golden_set_id, card.dev_rows, card.test_rows)


def _evaluations(store: Store, run_id: str) -> tuple[CardScores, ...]:
    """The newest evaluation of the run on each half, without those behind a prompt variant."""
    newest: dict[Half, Evaluation] = {}
    for handle in store.handles(Work.EVALUATE):
        found = read_document(store.handle(handle).result, Evaluation)
        if found is None or found.model != run_id or found.variant is not None:
            continue
        if found.half not in newest or found.created_at > newest[found.half].created_at:
            newest[found.half] = found
    return tuple(
        CardScores(
            half=half.value,
            rows=found.rows,
            scores=found.scores,
            baseline=found.baseline,
            verdict=None if found.comparison is None else found.comparison.verdict,
        )
        for half, found in sorted(newest.items())
    )

"""The finding job: base models from the table, the Hub and this machine, each with its fit, best first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tunesmith.jobs import clock
from tunesmith.jobs.context import JobContext
from tunesmith.jobs.files import read_document
from tunesmith.schemas.datasets import DatasetCard
from tunesmith.schemas.errors import NotReady
from tunesmith.schemas.models import FindModelsRequest, ModelSearch
from tunesmith.training.bases.candidate import Candidate, matches
from tunesmith.training.bases.fit import Fitting
from tunesmith.training.bases.hub import Listing, search_hub
from tunesmith.training.bases.local import cached_candidates, demo_candidate, local_candidates
from tunesmith.training.bases.ranking import in_order, told
from tunesmith.training.bases.rows import ASSUMED, Rows, measure
from tunesmith.training.bases.table import Table, read_table
from tunesmith.training.hardware import Hardware, this_machine


def run(job: JobContext) -> ModelSearch:
    """Answer the job's request.

    Raises:
        NotReady: the dataset is not finished.
    """
    request = job.request(FindModelsRequest)
    rows = _rows(job, request.dataset_id)
    table = read_table()
    known = {entry.id: entry.candidate for entry in table.models}
    job.phase("asking the Hub")
    listing = search_hub(request.query, request.max_parameters, known)
    job.phase("looking at this machine")
    here = [
        demo_candidate(),
        *local_candidates([Path(root) for root in request.roots], job.store.root),
        *cached_candidates(),
    ]
    still = [one for one in known.values() if one.id not in listing.left_out]
    candidates = choose(request, still, listing.candidates, here)
    hardware, method = this_machine(), request.tuning_method
    fits = Fitting(rows, hardware)
    ordered = in_order([(one, fits.of(one, method)) for one in candidates], rows)
    shown = ordered[: request.limit]
    return ModelSearch(
        search_id=job.handle,
        models=[told(one, fits.of_all(one), method, rows) for one in shown],
        total=len(ordered),
        machine=describe_machine(hardware),
        hub=listing.answer,
        table_date=table.date,
        warnings=_warnings(listing, table),
        created_at=clock.timestamp(),
    )


def choose(
    request: FindModelsRequest,
    known: Iterable[Candidate],
    listed: Iterable[Candidate],
    here: Iterable[Candidate],
) -> list[Candidate]:
    """The models that the request is about, each once: what is here already before the Hub's word, and that before the
    table's. What the Hub lists has matched the query by its own search."""
    chosen = {one.id: one for one in known if matches(one, request.query, request.max_parameters)}
    chosen |= {one.id: one for one in listed if matches(one, None, request.max_parameters)}
    for one in here:
        if matches(one, request.query, request.max_parameters):
            also = chosen.get(one.id)
            chosen[one.id] = one if also is None else replace(one, family=also.family, license=also.license)
    return list(chosen.values())


def describe_machine(hardware: Hardware) -> str:
    """What the fits are about."""
    return f"{hardware.in_words}; {hardware.memory_bytes / 1e9:.1f} GB of memory free"


def _rows(job: JobContext, dataset_id: str | None) -> Rows:
    if dataset_id is None:
        return ASSUMED
    paths = job.store.handle(dataset_id)
    card = read_document(paths.result, DatasetCard)
    if card is None:
        raise NotReady(
            f"The dataset {dataset_id} is not finished.",
            f'Call get_status with run_id="{dataset_id}" until it has succeeded, then find_models again.',
        )
    return measure(card, paths.rows)


def _warnings(listing: Listing, table: Table) -> list[str]:
    warnings = [] if listing.warning is None else [listing.warning]
    if listing.answer != "searched":
        warnings.append(
            f"The table is of {table.date}; newer models are missing, and a gate may have changed."
        )
    left_out = Counter(listing.left_out.values())
    return warnings + [
        f"{count} of the Hub's models left out: {reason}." for reason, count in left_out.items()
    ]

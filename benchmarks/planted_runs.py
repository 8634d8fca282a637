"""Short real trainings of the demo model through the job functions, sound ones and ones with a fault planted.

`Lane` does in this process what the tools have job processes do: load, hold out, clean, configure, train. A fault is
planted in the training rows, in the arguments of configure_lora, or in the code that renders, batches or attaches;
the held-out rows are always sound, so that the golden score tells whether a proposed fix helps.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import stdev
from typing import Any

from benchmarks.quality import job_of, loaded
from tunesmith import demo
from tunesmith.data import clean_job, golden_job
from tunesmith.data.rows import iter_rows
from tunesmith.demo import corpus
from tunesmith.diagnosis.verdicts import Paired
from tunesmith.evaluation.scoring import score
from tunesmith.jobs.executor import LocalExecutor
from tunesmith.jobs.files import read_document, write_document
from tunesmith.jobs.paths import HandlePaths, Store
from tunesmith.jobs.snapshot import Observer, Snapshot
from tunesmith.schemas.datasets import BuildGoldenSetRequest, CleanDatasetRequest, DatasetCard, GoldenSetCard
from tunesmith.schemas.enums import Half, RunState, TrainingMode, Work
from tunesmith.schemas.errors import TunesmithError
from tunesmith.schemas.handles import new_handle
from tunesmith.schemas.plans import ConfigureRequest, Plan
from tunesmith.schemas.runs import Finding, TrainRequest
from tunesmith.tools.get_status import status_of
from tunesmith.tools.workspace import Workspace, report_to_nobody
from tunesmith.training import configure_job, train_job
from tunesmith.training.dev_loss import dev_loss
from tunesmith.training.model import load_model, load_run_model, load_tokenizer
from tunesmith.training.rendering import Renderer

Rows = list[dict[str, Any]]
HELD_OUT = 120
RETENTION_ROWS, RETENTION_SEED = 60, 7


def demo_rows() -> Rows:
    """The demo's rows: the first HELD_OUT are for golden sets."""
    return [json.loads(line) for line in demo.dataset_path().read_text().splitlines()]


@dataclass(frozen=True)
class Lane:
    """One store, one sound golden set, and the trainings that are held against it."""

    store: Store
    golden: GoldenSetCard
    held_out: Path

    @classmethod
    def begin(cls, folder: Path, rows: Rows) -> Lane:
        """A new store in `folder`, with the rows held out, half of them for each half."""
        folder.mkdir(parents=True, exist_ok=True)
        store = Store(folder / "store")
        held_out = write_rows(folder / "held-out.jsonl", rows)
        card = loaded(store, held_out)
        request = BuildGoldenSetRequest(
            dataset_id=card.dataset_id,
            size=len(rows) - 2,
            stratify_by=None,
            seed=0,
            train_dataset_id=new_handle(Work.LOAD_DATASET),
        )
        job = job_of(store, Work.BUILD_GOLDEN_SET, request)
        golden = golden_job.run(job)
        write_document(job.paths.result, golden)
        return cls(store, golden, held_out)

    def load(self, rows: Rows) -> DatasetCard:
        """Rows as a dataset, with its quality report."""
        return loaded(
            self.store, write_rows(self.held_out.with_name(f"{new_handle(Work.LOAD_DATASET)}.jsonl"), rows)
        )

    def clean(self, arguments: dict[str, Any]) -> DatasetCard:
        """What clean_dataset with these arguments makes."""
        request = CleanDatasetRequest(
            dataset_id=arguments["dataset_id"],
            fixes=arguments["fixes"],
            dry_run=False,
            cleaned_dataset_id=new_handle(Work.LOAD_DATASET),
        )
        job = job_of(self.store, Work.CLEAN_DATASET, request)
        write_document(job.paths.result, clean_job.run(job))
        card = read_document(self.store.handle(request.cleaned_dataset_id).result, DatasetCard)
        assert card is not None
        return card

    def plan(self, dataset_id: str, **arguments: Any) -> Plan:
        """What configure_lora plans for these rows and the golden set, whatever rows that was taken from."""
        arguments.pop("golden_set_id", None)
        golden = self.golden.model_copy(
            update={"golden_set_id": new_handle(Work.BUILD_GOLDEN_SET), "train_dataset_id": dataset_id}
        )
        paths = self.store.handle(golden.golden_set_id)
        paths.folder.mkdir(parents=True)
        for half in Half:
            paths.half(half).symlink_to(self.store.handle(self.golden.golden_set_id).half(half))
        write_document(paths.result, golden)
        chosen = {
            name: None
            for name in ConfigureRequest.model_fields
            if ConfigureRequest.model_fields[name].is_required()
        }
        request = ConfigureRequest.model_validate(
            {
                **chosen,
                "base_model_kind": "demo",
                "tuning_method": "lora",
                "compute_budget": "medium",
                "seed": 0,
                "base_model": "demo",
                **arguments,
                "dataset_id": dataset_id,
                "golden_set_id": golden.golden_set_id,
            }
        )
        job = job_of(self.store, Work.CONFIGURE, request)
        plan = configure_job.run(job)
        write_document(job.paths.result, plan)
        return plan

    def train(self, plan: Plan) -> HandlePaths:
        """A run of the plan, ended one way or the other."""
        request = TrainRequest(
            plan_id=plan.plan_id, mode=TrainingMode.FULL, request_key=None, created_at=plan.created_at
        )
        job = job_of(self.store, Work.TRAIN, request)
        write_document(job.paths.plan, plan)
        job.journal.append("started", pid=0)
        try:
            write_document(job.paths.result, train_job.run(job))
        except TunesmithError as error:
            report = {"code": error.code, "message": error.message, "recovery": error.recovery}
            job.journal.append("finished", state=RunState.FAILED.value, error=report)
        else:
            job.journal.append("finished", state=RunState.SUCCEEDED.value, error=None)
        return job.paths

    def findings(self, run: HandlePaths) -> list[Finding]:
        """What get_status tells of the run."""
        return status_of(*look(self.store, run.handle)).findings

    def retention(self, run: HandlePaths) -> Paired:
        """What the base's own kind of text, of which the run saw none, has come to cost it."""
        plan = read_document(run.plan, Plan)
        assert plan is not None
        tuned, tokenizer = load_run_model(run, plan)
        base = load_model(demo.base_model_path(), precision="float32", quantization=None, for_training=False)
        renderer = Renderer(tokenizer, "prompt_completion", 256)
        texts = islice(corpus.documents(seed=RETENTION_SEED), RETENTION_ROWS)
        rows = renderer.render_all({"prompt": "", "completion": text} for text in texts).rows
        before, after = (score(model, rows, lambda _: None) for model in (base, tuned))
        tokens = sum(row.tokens for row in before)
        changes = [(new.loss - old.loss) * len(rows) / tokens for old, new in zip(before, after, strict=True)]
        margin = 1.96 * stdev(changes) / math.sqrt(len(rows))
        old, new = (sum(row.loss for row in scores) / tokens for scores in (before, after))
        return Paired(len(rows), old, new, new - old - margin, new - old + margin)

    def golden_loss(self, run: HandlePaths | None) -> float:
        """Nats a token on the whole rows of the golden set's test half; of the base without a run, infinite
        where the run has left no weights."""
        if run is not None and not run.adapter.exists():
            return math.inf
        if run is None:
            folder = demo.base_model_path()
            tokenizer = load_tokenizer(folder)
            model = load_model(folder, precision="float32", quantization=None, for_training=False)
        else:
            plan = read_document(run.plan, Plan)
            assert plan is not None
            model, tokenizer = load_run_model(run, plan)
        rows = iter_rows(self.store.handle(self.golden.golden_set_id).half(Half.TEST))
        renderer = Renderer(tokenizer, self.golden.row_kind, None)
        return dev_loss(model, renderer.render_all(rows).rows, lambda _: None).loss


def look(store: Store, run_id: str) -> tuple[Workspace, Snapshot]:
    """A run as a tool sees it."""
    observer = Observer(store)
    return Workspace(store, LocalExecutor(store), observer, report_to_nobody), observer.look(run_id)


def write_rows(path: Path, rows: Rows) -> Path:
    """Rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path

"""The one module that knows the store's file names.

$TUNESMITH_HOME/
    host/                     lease, log.txt, wake and turns-<handle> (FIFOs): the background host of this store
    queue/<handle>            present while the host has something to do for a handle
    cache/runs.json           what finished runs came to; derived, so that listing them takes no reading
    <nouns>/<handle>/         one folder per handle, made atomically:
        request.json          what was asked for; never changes
        journal.jsonl         what happened, append-only
        lease                 locked by the process that does the work
        log.txt               what that process printed
        stop-<attempt>.json   present once somebody asked that attempt to stop
        attempt-<attempt>     present once somebody asked for that attempt, from the second on
        result.json           what came out (a dataset's card, a plan, ...), written before the terminal event
        ledger.json           what a long journal adds up to; derived, of no value to anybody else
        reserve               while the work goes on: room for its terminal event on a full disk
        ... and what the work itself makes, below.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from tunesmith.schemas.enums import Half, Work
from tunesmith.schemas.handles import PREFIX_OF_WORK, work_of

_FOLDER_OF_WORK: dict[Work, str] = {
    Work.LOAD_DATASET: "datasets",
    Work.CLEAN_DATASET: "cleanings",
    Work.BUILD_GOLDEN_SET: "golden_sets",
    Work.FIND_MODELS: "searches",
    Work.CONFIGURE: "plans",
    Work.TRAIN: "runs",
    Work.EVALUATE: "evaluations",
    Work.GENERATE: "generations",
    Work.COMPARE: "comparisons",
    Work.PUSH: "pushes",
}


@dataclass(frozen=True)
class HandlePaths:
    """The files of one handle."""

    folder: Path

    @property
    def handle(self) -> str:
        return self.folder.name

    @property
    def request(self) -> Path:
        return self.folder / "request.json"

    @property
    def journal(self) -> Path:
        return self.folder / "journal.jsonl"

    @property
    def ledger(self) -> Path:
        """What the journal's first part adds up to; derived, and made again when it is gone."""
        return self.folder / "ledger.json"

    @property
    def lease(self) -> Path:
        return self.folder / "lease"

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    def stop(self, attempt: int) -> Path:
        """One for each attempt: what stopped one must not stop the next."""
        return self.folder / f"stop-{attempt}.json"

    def attempt(self, attempt: int) -> Path:
        """Once it is there, nothing that an older attempt still writes counts."""
        return self.folder / f"attempt-{attempt}"

    @property
    def result(self) -> Path:
        return self.folder / "result.json"

    @property
    def reserve(self) -> Path:
        """Of no content: room that is given back when the disk is full, or the work done."""
        return self.folder / "reserve"

    # -- a dataset ---------------------------------------------------------
    @property
    def rows(self) -> Path:
        """A folder of Parquet files."""
        return self.folder / "rows"

    @property
    def flags(self) -> Path:
        """Every row that the quality report counts."""
        return self.folder / "flags.parquet"

    # -- a golden set ------------------------------------------------------
    def half(self, half: Half) -> Path:
        return self.folder / f"{half.value}.parquet"

    def looks(self, half: Half) -> Path:
        """Which candidates were scored on a half, append-only."""
        return self.folder / f"looks-{half.value}.jsonl"

    @property
    def retention(self) -> Path:
        """General text, kept to measure what a model forgets."""
        return self.folder / "retention.parquet"

    # -- a run -------------------------------------------------------------
    @property
    def plan(self) -> Path:
        return self.folder / "plan.json"

    @property
    def adapter(self) -> Path:
        """The finished adapter (or, after full fine-tuning, model), committed by one rename."""
        return self.folder / "adapter"

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    @property
    def scratch(self) -> Path:
        """Where things are made before they are committed; of no value to anybody else."""
        return self.folder / "scratch"

    @property
    def loss_curve(self) -> Path:
        """The run's curves as a picture, drawn at its end."""
        return self.folder / "loss.png"

    @property
    def chart(self) -> Path:
        """The newest drawing of the run's curves that was asked for; derived, of value to whoever asks again."""
        return self.folder / "chart.json"

    @property
    def tracking(self) -> Path:
        """Which trackers the next attempt reports to; there when any was asked for."""
        return self.folder / "tracking.json"

    @property
    def trackers(self) -> Path:
        """What trackers keep of the run, unless their own settings say another place."""
        return self.folder / "trackers"

    # -- a plan ------------------------------------------------------------
    @property
    def range_test(self) -> Path:
        """The curve of the learning-rate range test, where one was asked for."""
        return self.folder / "range_test.png"

    # -- an evaluation -----------------------------------------------------
    @property
    def row_scores(self) -> Path:
        return self.folder / "rows.jsonl"

    # -- a comparison ------------------------------------------------------
    @property
    def votes(self) -> Path:
        """Who preferred which answer, append-only."""
        return self.folder / "votes.jsonl"


@dataclass(frozen=True)
class Store:
    """Everything that Tunesmith keeps. The folder is created on first use."""

    root: Path

    @classmethod
    def default(cls) -> Store:
        """`$TUNESMITH_HOME`, or the platform's user data folder."""
        named = os.environ.get("TUNESMITH_HOME")
        return cls(Path(named).expanduser().resolve() if named else platformdirs.user_data_path("tunesmith"))

    def folder_of(self, work: Work) -> Path:
        return self.root / _FOLDER_OF_WORK[work]

    def handle(self, handle: str) -> HandlePaths:
        """The files of a well-formed handle, whether or not it exists."""
        return HandlePaths(self.folder_of(work_of(handle)) / handle)

    def handles(self, work: Work) -> list[str]:
        """The handles of one kind that exist, in no particular order."""
        prefix = PREFIX_OF_WORK[work]
        folder = self.folder_of(work)
        if not folder.is_dir():
            return []
        return [
            entry.name
            for entry in os.scandir(folder)
            if entry.name.startswith(f"{prefix}-") and entry.is_dir()
        ]

    @property
    def run_index(self) -> Path:
        """What finished runs came to; derived, and made again when it is gone."""
        return self.root / "cache" / "runs.json"

    @property
    def host(self) -> Path:
        return self.root / "host"

    @property
    def host_lease(self) -> Path:
        return self.host / "lease"

    @property
    def host_log(self) -> Path:
        return self.host / "log.txt"

    @property
    def host_wake(self) -> Path:
        return self.host / "wake"

    @property
    def queue(self) -> Path:
        return self.root / "queue"

    def queued(self, handle: str) -> Path:
        return self.queue / handle

"""How fast does load_dataset read a large file of JSON lines, how fast is its quality report, and how much memory do
they take?

Baseline for reading: `datasets.load_dataset("json")` on the same file, which stores what it reads and checks nothing;
each three times, in turn. Wanted: at most 1.5 times its time, at most 1 GB; a report of at least 10,000 rows a second.

Rows are invented: words of a Zipf-distributed vocabulary, 1 kB a row, a hundredth of them copies.

    python -m benchmarks.bench_load_dataset [rows]
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from contextlib import suppress
from itertools import accumulate
from pathlib import Path

import datasets

from benchmarks.bench_near_duplicates import PeakMemory, vocabulary
from benchmarks.measuring import spread
from tunesmith.data import load_job
from tunesmith.jobs.context import JobContext, Stopped
from tunesmith.jobs.files import write_document
from tunesmith.jobs.journal import Journal, read_events
from tunesmith.jobs.paths import Store
from tunesmith.schemas.datasets import DatasetCard, LoadDatasetRequest
from tunesmith.schemas.enums import Work
from tunesmith.schemas.handles import new_handle

ROWS = 1_070_000
ROUNDS = 3
WORDS = (10, 10, 70)
CHECKING = "checking quality"


def write(path: Path, count: int) -> None:
    """Rows of instruction, input and output, with an id and a score."""
    chance = random.Random(0)
    words = vocabulary(0)
    weights = list(accumulate(1 / (rank + 2.7) for rank in range(len(words))))
    first = sum(WORDS[:1]), sum(WORDS[:2])
    drawn: list[str] = []
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            if number % 100 != 99:
                drawn = chance.choices(words, cum_weights=weights, k=sum(WORDS) + chance.randint(0, 30))
            row = {
                "instruction": " ".join(drawn[: first[0]]) + "?",
                "input": " ".join(drawn[first[0] : first[1]]),
                "output": "\n".join(paragraphs(drawn[first[1] :])),
                "id": number,
                "score": 0.5,
            }
            file.write(json.dumps(row) + "\n")


def paragraphs(words: list[str]) -> list[str]:
    """The words in lines of about a dozen, some of them quoted."""
    lines = [" ".join(words[start : start + 12]) for start in range(0, len(words), 12)]
    return [f'"{line}", she said.' if len(line) % 4 == 0 else f"{line}." for line in lines]


class ReadingOnly(JobContext):
    """Ends once everything is read."""

    def phase(self, phase: str) -> None:
        super().phase(phase)
        if phase == CHECKING:
            raise Stopped


def load(folder: Path, path: Path, context: type[JobContext]) -> tuple[DatasetCard | None, float, float]:
    """The card, and seconds of reading and of checking."""
    store = Store(folder)
    paths = store.handle(new_handle(Work.LOAD_DATASET))
    paths.folder.mkdir(parents=True)
    request = LoadDatasetRequest(
        source=path.name, source_kind="local", path=str(path), subset=None, split="train", revision=None,
        format="auto", columns=None, template=None, max_rows=None,
    )  # fmt: skip
    write_document(paths.request, request)
    began = time.monotonic()
    card = None
    with suppress(Stopped):
        card = load_job.run(context(store, paths, Journal(paths.journal, attempt=1)))
    taken = time.monotonic() - began
    events = read_events(paths.journal)
    begun = next(event["boot"] for event in events if event.get("phase") == "reading")
    checked = next(event["boot"] for event in events if event.get("phase") == CHECKING)
    return card, checked - begun, taken - (checked - begun)


def main(rows: int = ROWS) -> None:
    """Print times, rates, the ratio and the memory."""
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "rows.jsonl"
        write(path, rows)
        print(f"{rows:,} rows, {path.stat().st_size / 1e6:,.0f} MB of JSON lines")
        theirs, ours = [], []
        for number in range(ROUNDS):
            began = time.monotonic()
            datasets.load_dataset(
                "json", data_files=str(path), split="train", cache_dir=str(folder / f"cache-{number}")
            )
            theirs.append(time.monotonic() - began)
            ours.append(load(folder / "store", path, ReadingOnly)[1])
        with PeakMemory() as reading:  # apart from the timed rounds: looking at memory takes time, too
            load(folder / "store", path, ReadingOnly)
        ratio = sorted(ours)[ROUNDS // 2] / sorted(theirs)[ROUNDS // 2]
        print(f"datasets.load_dataset   {spread(theirs)}")
        print(f"tunesmith, reading      {spread(ours)}, peak {reading.peak / 1e6:,.0f} MB (wanted: 1,000)")
        print(f"ratio {ratio:.2f} (wanted: at most 1.5)")
        with PeakMemory() as whole:
            card, read_s, checked_s = load(folder / "store", path, JobContext)
        assert card is not None
        print(
            f"tunesmith, whole job    {read_s:.1f} s reading, {checked_s:.1f} s for the report: "
            f"{card.rows / checked_s:,.0f} rows/s (wanted: 10,000), peak {whole.peak / 1e6:,.0f} MB"
        )
        print(f"{card.rows:,} rows kept, {card.dropped.get('duplicate', 0):,} exact duplicates dropped")


if __name__ == "__main__":
    main(*(int(argument.replace("_", "")) for argument in sys.argv[1:]))

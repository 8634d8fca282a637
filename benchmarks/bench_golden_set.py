"""How long does a golden set from a million rows take, decontamination included, and how much memory?

Baseline: reading and writing the same rows once, in one process, with our own reader and writer: what any way of
making a training part without the held-out rows has to do. Wanted: under 60 s.

The rows are those of bench_near_duplicates: invented, with every fifth an edited copy of an earlier one. The training
part is kept free of the held-out rows and of another dataset of 1,000 rows, half of which it holds.

    python -m benchmarks.bench_golden_set [rows]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from benchmarks.bench_near_duplicates import PeakMemory, cpu_s, made_rows
from tunesmith.data import golden_job
from tunesmith.data.quality.flags import Flags, write_flags
from tunesmith.data.rows import Row, RowsWriter, iter_rows
from tunesmith.jobs.context import JobContext
from tunesmith.jobs.files import write_document
from tunesmith.jobs.journal import Journal
from tunesmith.jobs.paths import Store
from tunesmith.schemas.datasets import BuildGoldenSetRequest, DatasetCard
from tunesmith.schemas.enums import DataFormat, Work
from tunesmith.schemas.handles import new_handle

ROWS, OTHER_ROWS = 1_000_000, 1_000
SIZE = 2_000
PART_ROWS = 100_000


def store_dataset(store: Store, rows: Iterable[Row]) -> DatasetCard:
    """A finished dataset of these rows."""
    paths = store.handle(new_handle(Work.LOAD_DATASET))
    paths.rows.mkdir(parents=True)
    left, count = iter(rows), 0
    while portion := list(islice(left, PART_ROWS)):
        with RowsWriter(paths.rows / f"part-{count:09d}.parquet", "prompt_completion") as writer:
            for row in portion:
                writer.append(row)
        count += len(portion)
    write_flags(paths.flags, Flags(), Flags())
    card = DatasetCard(
        dataset_id=paths.handle,
        source="invented",
        source_kind="local",
        format=DataFormat.INSTRUCTION,
        row_kind="prompt_completion",
        columns={},
        rows=count,
        rows_read=count,
        dropped={},
        quality={},
        fingerprint="",
        created_at="",
    )
    write_document(paths.result, card)
    return card


def plain_copy_s(store: Store, card: DatasetCard, target: Path) -> float:
    """Seconds to read all rows and write them again."""
    began = time.monotonic()
    with RowsWriter(target, card.row_kind) as writer:
        for row in iter_rows(store.handle(card.dataset_id).rows):
            writer.append(row)
    return time.monotonic() - began


def main(rows: int = ROWS) -> None:
    """Print seconds, their ratio to the plain copy, and memory."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store")
        card = store_dataset(store, (row for row, _ in made_rows(rows)))
        known = (row for row, _ in made_rows(OTHER_ROWS // 2))
        new = (row for row, _ in made_rows(OTHER_ROWS // 2, seed=1))
        other = store_dataset(store, (row for source in (known, new) for row in source))
        request = BuildGoldenSetRequest(
            dataset_id=card.dataset_id,
            size=SIZE,
            stratify_by=None,
            seed=0,
            decontaminate_against=[other.dataset_id],
            train_dataset_id=new_handle(Work.LOAD_DATASET),
        )
        paths = store.handle(new_handle(Work.BUILD_GOLDEN_SET))
        paths.folder.mkdir(parents=True)
        write_document(paths.request, request)
        began, cpu = time.monotonic(), cpu_s()
        with PeakMemory() as memory:
            golden = golden_job.run(JobContext(store, paths, Journal(paths.journal, attempt=1)))
        taken, used = time.monotonic() - began, cpu_s() - cpu
        copied = plain_copy_s(store, card, Path(folder) / "copy.parquet")
    removed = golden.leaks_removed + sum(golden.overlaps_removed.values())
    print(f"golden set of {SIZE:,} from {rows:,} rows: {taken:.1f} s (wanted: 60 s), {used:.1f} CPU seconds")
    print(f"peak memory {memory.peak / 1e6:,.0f} MB")
    print(
        f"{golden.dev_rows} dev, {golden.test_rows} test, {removed:,} overlapping rows removed, {golden.coverage}"
    )
    print(f"plain copy in one process: {copied:.1f} s, ratio {taken / copied:.2f}")


if __name__ == "__main__":
    main(*(int(argument.replace("_", "")) for argument in sys.argv[1:]))

"""How fast, how sound and how large is the search for near-duplicates?

Baseline: datasketch's MinHashLSH on the same rows, with 128 permutations and the same threshold, shingles and
normal form, per CPU second of all processes. Wanted at a million rows: at least 4 times as many rows per CPU second,
recall and precision of at least 0.98, at most 2.5 GB.

Rows are invented: words of a Zipf-distributed vocabulary, in lengths like those of instruction data. Every fifth
row is an edited copy of an earlier one: words swapped, dropped, added or in capitals, punctuation changed. The truth
is the copies whose Jaccard similarity to their original reaches the threshold.

    python -m benchmarks.bench_near_duplicates [rows] [rows for datasketch]
"""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

import numpy as np

from tunesmith.data.parallel import worker_count
from tunesmith.data.quality.near_duplicates import WHOLE_LIKENESS, find_copies
from tunesmith.data.rows import Row, RowsWriter

ROWS, BASELINE_ROWS = 1_000_000, 50_000
VOCABULARY = 50_000
COPY_EVERY = 5
RECENT = 5_000


def vocabulary(seed: int) -> list[str]:
    """Invented words, the frequent ones short."""
    chance = random.Random(seed)
    syllables = [a + b for a in "bcdfghklmnprstvw" for b in ("a", "e", "i", "o", "u", "an", "er", "ing")]
    return ["".join(chance.choices(syllables, k=1 + rank.bit_length() // 4)) for rank in range(VOCABULARY)]


def edited(text: str, words: list[str], chance: random.Random) -> str:
    """A copy with a few small changes."""
    parts = text.split(" ")
    for _ in range(chance.randint(0, max(1, len(parts) // 25))):
        place = chance.randrange(len(parts))
        change = chance.randrange(4)
        if change == 0:
            parts[place] = chance.choice(words)
        elif change == 1 and len(parts) > 3:
            del parts[place]
        elif change == 2:
            parts.insert(place, chance.choice(words))
        else:
            parts[place] = parts[place].upper() + chance.choice([",", "!", " ;", "..."])
    return " ".join(parts) + chance.choice(["", ".", " !"])


def made_rows(count: int, seed: int = 0) -> Iterator[tuple[Row, int]]:
    """Rows and, for a planted copy, the position of its original (else -1)."""
    chance = random.Random(seed)
    words = vocabulary(seed)
    weights = list(accumulate(1 / (rank + 2.7) for rank in range(VOCABULARY)))
    recent: list[tuple[int, str, str]] = []
    for position in range(count):
        if position % COPY_EVERY == COPY_EVERY - 1:
            original, prompt, completion = chance.choice(recent)
            yield (
                Row(position + 1, edited(prompt, words, chance), edited(completion, words, chance)),
                original,
            )
            continue
        drawn = chance.choices(words, cum_weights=weights, k=chance.randint(5, 25) + chance.randint(10, 100))
        cut = chance.randint(5, len(drawn) // 2)
        prompt, completion = " ".join(drawn[:cut]) + "?", " ".join(drawn[cut:]) + "."
        recent.append((position, prompt, completion))
        if len(recent) > RECENT:
            recent[chance.randrange(RECENT)] = recent.pop()
        yield Row(position + 1, prompt, completion), -1


def shingle_set(row: Row) -> set[str]:
    """Runs of three words, found by another way than the product's."""
    words = re.findall(r"\w+", f"{row.prompt} {row.completion}".lower())
    return {" ".join(words[place : place + 3]) for place in range(max(1, len(words) - 2))}


def likeness(one: Row, other: Row) -> float:
    """Exact Jaccard similarity."""
    left, right = shingle_set(one), shingle_set(other)
    return len(left & right) / len(left | right)


def write(path: Path, count: int) -> np.ndarray:
    """Store the rows. For each its original, -1 for none, -2 where the copy is less alike than the threshold."""
    truth = np.full(count, -1, np.int64)
    sources: dict[int, Row] = {}
    with RowsWriter(path, "prompt_completion") as writer:
        for position, (row, original) in enumerate(made_rows(count)):
            writer.append(row)
            if original < 0:
                sources[position] = row
                if len(sources) > 40 * RECENT:
                    sources = dict(list(sources.items())[-30 * RECENT :])
            elif original in sources:
                truth[position] = original if likeness(row, sources[original]) >= WHOLE_LIKENESS else -2
            else:
                truth[position] = -2
    return truth


def cpu_s() -> float:
    """CPU seconds of this process and of its ended children."""
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


class PeakMemory:
    """The largest sum of what this process and its children hold for themselves, in bytes, while in the block."""

    def __enter__(self) -> PeakMemory:
        self.peak = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            pids = [os.getpid(), *(child.pid for child in multiprocessing.active_children())]
            self.peak = max(self.peak, sum(proportional_bytes(pid) for pid in pids if pid))


def proportional_bytes(pid: int) -> int:
    """Resident memory of a process, with what it shares divided among those who share it."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Pss:"))
    except (OSError, StopIteration):
        return 0


def datasketch_rate(count: int) -> float:
    """Rows per CPU second of datasketch on the first rows."""
    from datasketch import MinHash, MinHashLSH

    rows = [row for row, _ in made_rows(count)]
    began = cpu_s()
    lsh = MinHashLSH(threshold=WHOLE_LIKENESS, num_perm=128)
    for position, row in enumerate(rows):
        sketch = MinHash(num_perm=128)
        sketch.update_batch([shingle.encode() for shingle in shingle_set(row)])
        lsh.query(sketch)
        lsh.insert(position, sketch, check_duplication=False)
    return count / (cpu_s() - began)


def main(rows: int = ROWS, baseline_rows: int = BASELINE_ROWS) -> None:
    """Print both rates, the ratio, recall, precision and memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        truth = write(folder / "rows.parquet", rows)
        began, cpu = time.monotonic(), cpu_s()
        with PeakMemory() as memory:
            copies = find_copies(folder / "rows.parquet", folder, worker_count(), lambda share: None)
        taken, rate = time.monotonic() - began, rows / (cpu_s() - cpu)
    found = copies.originals
    planted, judged = truth >= 0, truth != -2
    recall = (found[planted] >= 0).mean()
    precision = (truth[judged & (found >= 0)] >= 0).mean()
    baseline = datasketch_rate(baseline_rows)
    print(f"ours        {rows:,} rows: {rate:,.0f} rows per CPU second, {taken:.1f} s")
    print(f"peak memory {memory.peak / 1e6:,.0f} MB (wanted: 2,500 MB)")
    print(f"datasketch  {baseline_rows:,} rows: {baseline:,.0f} rows per CPU second")
    print(f"ratio {rate / baseline:.1f} (wanted: at least 4)")
    print(
        f"recall {recall:.4f}, precision {precision:.4f} over {planted.sum():,} planted copies (wanted: 0.98)"
    )


if __name__ == "__main__":
    main(*(int(argument.replace("_", "")) for argument in sys.argv[1:]))

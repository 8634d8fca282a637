"""What a classifier of one's own choice says about the answers of a dataset, on a sample: it is too slow for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from zlib import crc32

from tunesmith.data.quality.examples import exchanges
from tunesmith.data.quality.flags import Flags
from tunesmith.data.quality.harmful import HubClassifier
from tunesmith.data.rows import iter_rows

CLASSIFIED_ROWS = 1_000
_TOGETHER = 32


def flag_harmful(rows: Path, count: int, model: str, found: Flags, progress: Callable[[float], None]) -> str:
    """Flag rows of which an answer is harmful to `model`, a Hub id or a folder; returns what the report has to say.

    Of `count` stored rows about a thousand are looked at, chosen by their content.

    Raises:
        ModelNotFound, Mismatch: the classifier cannot be used.
        UnreadableSource: the rows are missing or damaged.
    """
    classifier = HubClassifier(model)
    known = set(found.rows("harmful").tolist())
    flagged: set[int] = set()
    looked_at: set[int] = set()
    answers = _sampled(rows, min(1.0, CLASSIFIED_ROWS / count))
    while batch := list(islice(answers, _TOGETHER)):
        looked_at.update(row for row, _ in batch)
        verdicts = classifier.harmful([answer for _, answer in batch])
        flagged.update(row for (row, _), harmful in zip(batch, verdicts, strict=True) if harmful)
        progress(len(looked_at) / min(count, CLASSIFIED_ROWS))
    for row in sorted(flagged - known):
        found.add("harmful", row)
    return f"the lexicon looked at all rows, the classifier at a sample of {len(looked_at):,}"


def _sampled(rows: Path, share: float) -> Iterator[tuple[int, str]]:
    below = round(share * 2**32)
    for row in iter_rows(rows):
        if crc32(row.content()) < below:
            yield from ((row.number, exchange.answer) for exchange in exchanges(row))

"""How well the held-out rows stand for those that are left to train on."""

from __future__ import annotations

from typing import Any

import numpy as np

from tunesmith.data.golden_features import SIMHASH_BITS, Features, simhashes
from tunesmith.data.golden_texts import StoredTexts
from tunesmith.data.quality.contamination import Texts

SAMPLE_ROWS = 2_000
"""Training rows, evenly spaced, from which vocabulary and nearness are estimated."""


def coverage_of(
    texts: StoredTexts, features: Features, golden: Texts, held_out: Any, training: Any
) -> dict[str, float]:
    """Shares from 0 to 1. `held_out` (with the texts `golden`) and `training` are row positions; neither is empty.

    topics: of the training rows, those whose topic (eight bits of SimHash) some held-out row has.
    vocabulary: of the words of training rows (stems, with repeats), those that occur in a held-out row.
    nearest: the mean cosine similarity of a training row to the most similar held-out row, as vectors of word stems.
    """
    sample = training[np.unique(np.linspace(0, len(training) - 1, SAMPLE_ROWS).astype(np.int64))]
    trained = texts.texts(sample)
    topics = np.isin(features.topics[training], np.unique(features.topics[held_out])).mean()
    known = np.isin(_stems(trained), np.unique(_stems(golden)))
    return {
        "topics": round(float(topics), 4),
        "vocabulary": round(float(known.mean()) if len(known) else 1.0, 4),
        "nearest": round(_nearest(simhashes(trained, SIMHASH_BITS), simhashes(golden, SIMHASH_BITS)), 4),
    }


def _stems(texts: Texts) -> Any:
    stems = np.concatenate([texts.questions.stems, texts.answers.stems])
    return stems[stems != 0]


def _nearest(rows: Any, others: Any) -> float:
    """The angle between two rows is 180° times the share of bits in which their SimHashes differ."""
    least = np.array([np.bitwise_count(others ^ row).min() for row in rows], np.float64)
    return float(np.cos(np.pi * least / SIMHASH_BITS).mean())

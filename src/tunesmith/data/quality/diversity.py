"""How varied a dataset is, in its words and in its topics, measured on a sample that the rows' content chooses."""

from __future__ import annotations

import heapq
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import xxhash

SAMPLE_ROWS = 1_000
LEAST_ROWS = 20
"""Below this, nothing can be said."""
COMPARED_ROWS = 400
"""Rows of the sample that are compared with each other: the time grows with their number cubed."""
WORDS_PER_TEXT = 200
_FEATURES = 2_048
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Diversity:
    """`distinct_3`: different word trigrams per word trigram (distinct-n, Li et al. 2016), over texts cut to the
    same total. `distinct_openings`: different first four words per text. `vendi_score`: the effective number of
    different texts among `compared_rows` of the sample (Friedman and Dieng 2023), with the cosine of TF-IDF vectors as
    the kernel."""

    sample_rows: int
    compared_rows: int
    distinct_3: float
    distinct_openings: float
    vendi_score: float


class TextSample:
    """A sample of texts by the hash of their content: the same whatever the order, in however many processes."""

    def __init__(self, size: int = SAMPLE_ROWS) -> None:
        self._size = size
        self._heap: list[tuple[int, str]] = []

    def add(self, text: str) -> None:
        """Consider one text."""
        rank = -int(xxhash.xxh3_64_intdigest(text.encode()))
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, (rank, text[: 20 * WORDS_PER_TEXT]))
        elif rank > self._heap[0][0]:
            heapq.heapreplace(self._heap, (rank, text[: 20 * WORDS_PER_TEXT]))

    def merge(self, other: TextSample) -> None:
        """Consider what another process sampled."""
        for entry in other._heap:
            if len(self._heap) < self._size:
                heapq.heappush(self._heap, entry)
            elif entry[0] > self._heap[0][0]:
                heapq.heapreplace(self._heap, entry)

    def texts(self) -> list[str]:
        """The sampled texts, in the order of their hashes."""
        return [text for _, text in sorted(self._heap, reverse=True)]


def measure(texts: list[str]) -> Diversity | None:
    """The diversity of a sample of texts; None when they are too few to tell."""
    if len(texts) < LEAST_ROWS:
        return None
    words = [_WORD.findall(text.casefold())[:WORDS_PER_TEXT] for text in texts]
    trigrams = [tuple(line[start : start + 3]) for line in words for start in range(len(line) - 2)]
    openings = [tuple(line[:4]) for line in words]
    return Diversity(
        sample_rows=len(texts),
        compared_rows=min(len(texts), COMPARED_ROWS),
        distinct_3=len(set(trigrams)) / len(trigrams) if trigrams else 1.0,
        distinct_openings=len(set(openings)) / len(openings),
        vendi_score=vendi_score(_tf_idf(words[:COMPARED_ROWS])),
    )


def vendi_score(vectors: Any) -> float:
    """exp of the Shannon entropy of the eigenvalues of K / n, where K is the cosine kernel of float[n, features].

    From 1 (all the same) to n (nothing in common).
    """
    kernel = vectors @ vectors.T / len(vectors)
    eigenvalues = np.linalg.eigvalsh(kernel)
    positive = eigenvalues[eigenvalues > 1e-7]
    return float(np.exp(-np.sum(positive * np.log(positive))))


def _tf_idf(words: list[list[str]]) -> Any:
    """Unit vectors float32[n, 2048] of hashed words; a word that every text has counts for nothing."""
    counts: Any = np.zeros((len(words), _FEATURES), np.float32)
    for row, line in enumerate(words):
        places = [xxhash.xxh3_64_intdigest(word.encode()) % _FEATURES for word in line]
        if places:
            counts[row] = np.bincount(places, minlength=_FEATURES)
    idf = np.log((1 + len(words)) / (1 + (counts > 0).sum(axis=0))).astype(np.float32)
    weights = np.log1p(counts) * idf
    norms = np.linalg.norm(weights, axis=1, keepdims=True)
    # A text of words that all have is the same as any other such text.
    weights[norms[:, 0] == 0, 0] = 1.0
    return weights / np.linalg.norm(weights, axis=1, keepdims=True)

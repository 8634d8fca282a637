"""Which rows are held out: pure decisions over what is known of each row.

1. Rows that ask the same are one candidate. Its rank is a hash of the question and the seed.
2. Candidates lie in strata: value of a column, then length (powers of two of characters), then topic (three bits of
   a SimHash). All three are known from the row alone, so that new rows never move an old one to another stratum. Every
   stratum, on each of the three levels, gets its proportional number of rows, rounded down or up (`apportionment`).
3. Candidates are gone through by rank. One is taken while its stratum has places, unless it is a near copy of one taken
   before, or closer than 60 degrees to one in its stratum: what is held out lies spread out. Where a stratum has too
   few rows so far apart, it is filled up by rank.

What follows when rows are added: an old row that was held out stays so, unless a new row of better rank, or the
new row's nearness, takes its place, or its stratum's share of the whole set falls. An old row that was not held
out comes in only in place of such a row.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from tunesmith.data.apportionment import Leaf, apportion
from tunesmith.data.golden_features import SIMHASH_BITS, TOPIC_BITS, Features
from tunesmith.data.quality.words import mixed
from tunesmith.schemas.errors import InvalidArgument, UnmappedColumns

LEAST_ROWS = 8
MOST_LABELS, LEAST_OF_A_LABEL = 200, 20
"""Answers are taken for labels when there are at most so many different ones, each so often on average."""
MOST_NAMED = 50
"""Strata named in the card; the rest is added up."""
STRATUM_TOPIC_BITS = 3
LEAST_ANGLE = 60
"""Degrees between two held-out rows of a stratum, where the stratum has enough rows."""
OTHER, ABSENT = "(other)", "(none)"

_POOL_FACTOR, _POOL_EXTRA = 4, 8
_VALUE_CHARACTERS = 60


@dataclass(frozen=True)
class Likeness:
    """How some candidates lie to each other: `near`, int64 (n, 2), are copies of one another; `simhashes` uint64."""

    near: Any
    simhashes: Any


Compare = Callable[[Any], Likeness]
"""Given the positions of some rows: how they lie to each other, by their places in what was given."""


@dataclass(frozen=True)
class Choice:
    """Sorted row positions, int64, of both halves; for each stratum its candidates and how many are held out."""

    dev: Any
    test: Any
    population: dict[str, int]
    held_out: dict[str, int]

    @property
    def positions(self) -> Any:
        """Both halves together."""
        return np.union1d(self.dev, self.test)


@dataclass(frozen=True)
class _Candidates:
    """One entry a candidate, best rank first: its row's position, its rank, its leaf (an index into `leaves`)."""

    positions: Any
    ranks: Any
    leaf_of: Any
    leaves: list[Leaf]

    def weights(self) -> dict[Leaf, int]:
        counts = np.bincount(self.leaf_of, minlength=len(self.leaves)).tolist()
        return dict(zip(self.leaves, counts, strict=True))


def choose(features: Features, size: float, seed: int, compare: Compare) -> Choice:
    """Hold out `size` rows (below 1: that share of the rows), but never more than half of the different ones.

    Raises:
        InvalidArgument: too few rows, or a size that leaves none; the recovery proposes one.
    """
    candidates = _candidates(features, seed)
    different = len(candidates.positions)
    rows = len(features.identities)
    wanted = min(_wanted(rows, different, size), different // 2)
    weights = candidates.weights()
    quotas = apportion(weights, wanted, Fraction(wanted, different), seed)
    chosen = _spread_out(candidates, quotas, wanted, compare)
    dev = _first_half(candidates, chosen, seed)
    held_out = np.bincount(candidates.leaf_of[chosen], minlength=len(candidates.leaves)).tolist()
    positions = candidates.positions
    return Choice(
        np.sort(positions[dev]),
        np.sort(positions[np.setdiff1d(chosen, dev)]),
        _described(weights),
        _described(dict(zip(candidates.leaves, held_out, strict=True))),
    )


def answers_are_labels(answers: Any) -> bool:
    """Whether a few answers, uint64 one a row, come again and again: then the rows are a classification."""
    different = len(np.unique(answers))
    return different <= MOST_LABELS and len(answers) >= LEAST_OF_A_LABEL * different


def unknown_column(column: str, available: Iterable[str]) -> UnmappedColumns:
    """The error for a `stratify_by` that no row has."""
    names = sorted(available)
    listed = ", ".join(repr(name[:_VALUE_CHARACTERS]) for name in names[:MOST_NAMED]) or "none"
    proposal = (
        f"stratify_by={names[0][:_VALUE_CHARACTERS]!r}, or without it" if names else "without stratify_by"
    )
    return UnmappedColumns(
        f"stratify_by={column[:_VALUE_CHARACTERS]!r} is no column of this dataset. There are: {listed}.",
        f"Call build_golden_set again with {proposal}: it always stratifies by length and topic.",
    )


def _wanted(rows: int, different: int, size: float) -> int:
    if different < LEAST_ROWS:
        raise InvalidArgument(
            f"The dataset has {rows} rows with {different} different prompts; a golden set needs at least "
            f"{LEAST_ROWS} different ones.",
            "Load a dataset with more rows.",
        )
    wanted = round(size * rows) if 0 < size < 1 else int(size)
    if wanted >= rows or wanted < 2:
        proposal = max(2, min(200, different // 5))
        raise InvalidArgument(
            f"size={size} does not fit a dataset of {rows} rows.",
            f"Call build_golden_set again with size={proposal}: the held-out rows of both halves together.",
        )
    return wanted


def _candidates(features: Features, seed: int) -> _Candidates:
    """Of the rows that ask the same, the one whose answer has the smallest hash: no order of rows changes that."""
    order = np.lexsort((features.answers, features.identities))
    identities = features.identities[order]
    first = np.flatnonzero(np.concatenate([[True], identities[1:] != identities[:-1]]))
    positions, identities = order[first], identities[first]
    ranks = mixed(identities ^ _salt(f"{seed}:held out"))
    by_rank = np.argsort(ranks, kind="stable")
    positions = positions[by_rank]
    values, names = _values(features, positions)
    lengths = np.frexp(features.characters[positions])[1].astype(np.int64)
    topics = features.topics[positions].astype(np.int64) >> (TOPIC_BITS - STRATUM_TOPIC_BITS)
    cells, leaf_of = np.unique(np.stack([values, lengths, topics], axis=1), axis=0, return_inverse=True)
    leaves: list[Leaf] = [
        (names[value], f"{length:02d}", f"{topic:x}") for value, length, topic in cells.tolist()
    ]
    return _Candidates(positions, ranks[by_rank], leaf_of.ravel(), leaves)


def _values(features: Features, positions: Any) -> tuple[Any, list[str]]:
    """Each candidate's value, as an index into names; values that do not repeat share one."""
    if not features.names:
        return np.zeros(len(positions), np.int64), [""]
    names = [*(name[:_VALUE_CHARACTERS] for name in features.names), OTHER, ABSENT]
    other, absent = len(names) - 2, len(names) - 1
    first = {name: code for code, name in reversed(list(enumerate(names)))}  # shortened names may be equal
    codes = np.array([first[name] for name in names], np.int64)[features.values[positions]]
    counts = np.bincount(codes, minlength=len(names))
    codes[(counts[codes] < 2) & (codes != absent)] = other
    return codes, names


def _spread_out(candidates: _Candidates, quotas: Mapping[Leaf, int], wanted: int, compare: Compare) -> Any:
    """Places of the chosen candidates. More and more candidates are looked at, until there are enough."""
    places_of = np.array([quotas[leaf] for leaf in candidates.leaves], np.int64)
    in_leaf = _places_in_leaf(candidates.leaf_of)
    factor = _POOL_FACTOR
    while True:
        reach = np.where(places_of > 0, factor * places_of + _POOL_EXTRA, 0)
        pool = np.flatnonzero(in_leaf < reach[candidates.leaf_of])
        likeness = compare(candidates.positions[pool])
        taken = _taken(candidates.leaf_of[pool], places_of, likeness, wanted)
        is_whole = bool(
            (reach >= np.bincount(candidates.leaf_of, minlength=len(places_of)))[places_of > 0].all()
        )
        if len(taken) == wanted or is_whole:
            return pool[taken]
        factor *= 4


def _taken(leaf_of: Any, places_of: Any, likeness: Likeness, wanted: int) -> list[int]:
    """Go through the pool by rank: first only rows far from those taken, then all that are no copies.

    Where copies leave a stratum short, rows of others take the places.
    """
    neighbours: dict[int, list[int]] = {}
    for one, other in likeness.near.tolist():
        if one != other:
            neighbours.setdefault(one, []).append(other)
            neighbours.setdefault(other, []).append(one)
    free = places_of.tolist()
    near_ones: set[int] = set()
    taken: list[int] = []
    hashes: dict[int, list[Any]] = {}
    done: set[int] = set()
    for far_only, any_leaf in ((True, False), (False, False), (False, True)):
        for place, leaf in enumerate(leaf_of.tolist()):
            if len(taken) == wanted:
                return taken
            if place in done or place in near_ones or not (any_leaf or free[leaf] > 0):
                continue
            simhash = likeness.simhashes[place]
            if far_only and _is_close(simhash, hashes.get(leaf, [])):
                continue
            taken.append(place)
            done.add(place)
            free[leaf] -= 1
            hashes.setdefault(leaf, []).append(simhash)
            near_ones.update(neighbours.get(place, ()))
    return taken


def _is_close(simhash: Any, others: Sequence[Any]) -> bool:
    if not others:
        return False
    different = int(np.bitwise_count(np.array(others, np.uint64) ^ simhash).min())
    return different * 180 < LEAST_ANGLE * SIMHASH_BITS


def _first_half(candidates: _Candidates, chosen: Any, seed: int) -> Any:
    """The chosen ones that go into the dev half: in every node of the tree half of them, to within one row."""
    counts = np.bincount(candidates.leaf_of[chosen], minlength=len(candidates.leaves)).tolist()
    weights = {leaf: count for leaf, count in zip(candidates.leaves, counts, strict=True) if count}
    quotas = apportion(weights, -(-len(chosen) // 2), Fraction(1, 2), seed)
    lots = mixed(candidates.ranks[chosen] ^ _salt(f"{seed}:half"))
    order = np.lexsort((lots, candidates.leaf_of[chosen]))
    leaf_of = candidates.leaf_of[chosen][order]
    share = np.array([quotas.get(leaf, 0) for leaf in candidates.leaves], np.int64)
    return chosen[order[_places_in_leaf(leaf_of) < share[leaf_of]]]


def _places_in_leaf(leaf_of: Any) -> Any:
    """For each entry the number of entries of the same leaf before it."""
    order = np.argsort(leaf_of, kind="stable")
    ordered = leaf_of[order]
    first = np.searchsorted(ordered, ordered)
    places: Any = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order)) - first
    return places


def _described(counts: Mapping[Leaf, int]) -> dict[str, int]:
    """Counts per value and length; of many, the largest by name."""
    told: Counter[str] = Counter()
    for (value, length, _), count in counts.items():
        bits = int(length)
        about = f"{1 << max(0, bits - 1)} to {(1 << bits) - 1} characters" if bits else "no characters"
        told[f"{value} / {about}" if value else about] += count
    kept = dict(sorted(told.items(), key=lambda item: (-item[1], item[0]))[:MOST_NAMED])
    rest = told.total() - sum(kept.values())
    return {**{name: count for name, count in kept.items() if count}, **({OTHER: rest} if rest else {})}


def _salt(text: str) -> Any:
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big"))

"""Whole numbers of rows for the nodes of a tree of strata, each within one row of its exact share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from fractions import Fraction

Leaf = tuple[str, ...]


def apportion(weights: Mapping[Leaf, int], total: int, share: Fraction, seed: int) -> dict[Leaf, int]:
    """Share `total` out to the leaves: each node of the tree gets its exact share, rounded down or up.

    A leaf is named by its path, such as (label, length, topic); a node is a common beginning of paths. The exact share
    of a node is `share` times the weight of its leaves; `total` has to be that of the root, rounded down or up.

    From the root downwards every child gets its share rounded down, and what is left goes, one each, to children whose
    share has a fraction: that is always possible, since the shares of the children add up to their parent's. Who
    gets it is decided by the fraction plus a fixed random number of the child, so that shares that change a little
    change few roundings. Children of weight 1 come last: the only row of its kind had better be learnt from.
    """
    quotas: dict[Leaf, int] = {}
    _descend((), dict(weights), total, share, seed, quotas)
    return quotas


def _descend(
    node: Leaf, weights: dict[Leaf, int], quota: int, share: Fraction, seed: int, quotas: dict[Leaf, int]
) -> None:
    if set(weights) == {node}:
        quotas[node] = quota
        return
    children: dict[Leaf, dict[Leaf, int]] = {}
    for leaf, weight in weights.items():
        children.setdefault(leaf[: len(node) + 1], {})[leaf] = weight
    exact = {child: share * sum(below.values()) for child, below in children.items()}
    given = {child: int(amount) for child, amount in exact.items()}
    fractions = {child: amount - given[child] for child, amount in exact.items() if amount != given[child]}
    urgent = sorted(
        fractions,
        key=lambda child: (
            sum(children[child].values()) < 2,
            -(float(fractions[child]) + _fixed(child, seed)),
            child,
        ),
    )
    for child in urgent[: quota - sum(given.values())]:
        given[child] += 1
    for child, below in children.items():
        _descend(child, below, given[child], share, seed, quotas)


def _fixed(node: Leaf, seed: int) -> float:
    """A number from 0 to 1 that hangs on the node's name and the seed alone."""
    digest = hashlib.blake2b(repr((node, seed)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / (1 << 64)

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tunesmith.data.apportionment import Leaf, apportion

NAMES = st.sampled_from("abc")
TREES = st.dictionaries(st.tuples(NAMES, NAMES, NAMES), st.integers(1, 50), min_size=1)


def exact(tree: dict[Leaf, int], total: int) -> Fraction:
    return Fraction(total, sum(tree.values()))


@given(TREES, st.integers(0, 60), st.integers(0, 3))
def test_every_node_gets_its_exact_share_rounded_down_or_up(
    tree: dict[Leaf, int], total: int, seed: int
) -> None:
    total = min(total, sum(tree.values()))
    quotas = apportion(tree, total, exact(tree, total), seed)
    assert sum(quotas.values()) == total and quotas.keys() == tree.keys()
    for depth in range(4):
        for node in {leaf[:depth] for leaf in tree}:
            weight = sum(weight for leaf, weight in tree.items() if leaf[:depth] == node)
            given_to = sum(quota for leaf, quota in quotas.items() if leaf[:depth] == node)
            assert abs(given_to - exact(tree, total) * weight) < 1


@given(TREES, st.integers(0, 60), st.randoms())
def test_the_order_of_the_leaves_does_not_matter(tree: dict[Leaf, int], total: int, chance: object) -> None:
    total = min(total, sum(tree.values()))
    backwards = dict(reversed(tree.items()))
    assert apportion(tree, total, exact(tree, total), 0) == apportion(backwards, total, exact(tree, total), 0)


def test_halves_differ_by_one_at_most_in_every_node() -> None:
    tree = {(label, length): weight for label, weight in (("a", 3), ("b", 5)) for length in ("1", "2", "3")}
    dev = apportion(tree, 12, Fraction(1, 2), 0)
    for label, weight in (("a", 9), ("b", 15)):
        assert abs(2 * sum(dev[label, length] for length in "123") - weight) == 1


def test_the_only_row_of_its_kind_is_left_to_be_learnt_from() -> None:
    tree = {("rare",): 1, ("some",): 6, ("common",): 7}
    assert all(apportion(tree, 7, exact(tree, 7), seed)[("rare",)] == 0 for seed in range(20))


def test_a_few_more_rows_change_few_roundings() -> None:
    tree = {(f"{number}",): 33 for number in range(100)}
    more = {leaf: weight + (int(leaf[0]) % 10 == 0) for leaf, weight in tree.items()}
    old, new = apportion(tree, 30, exact(tree, 30), 0), apportion(more, 30, exact(more, 30), 0)
    assert sum(abs(old[leaf] - new[leaf]) for leaf in tree) <= 4

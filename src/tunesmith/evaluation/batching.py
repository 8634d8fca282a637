"""Which rows go through the model together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Fits = Callable[[list[int]], bool]


def batches(order: Sequence[int], fits: Fits) -> list[list[int]]:
    """Cut `order` into consecutive batches, each as long as it `fits`; what never fits stands alone."""
    cut: list[list[int]] = []
    for index in order:
        if cut and fits([*cut[-1], index]):
            cut[-1].append(index)
        else:
            cut.append([index])
    return cut

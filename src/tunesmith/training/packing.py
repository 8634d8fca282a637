"""How the rows of one optimizer step are laid out as sequences, and the sequences as forward passes.

Which rows a step consists of is settled before: nothing here moves a row from one step to another.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_CACHED_STATES = 2**18
_FEWEST_TOKENS, _MOST_TOKENS = 256, 1024
_TRIED = 24


@dataclass(frozen=True)
class Layout:
    """Each of `sequences` holds places of rows, in the order in which they stand in it; `width` is the tokens of the
    fullest one, to which the others are padded on the right."""

    sequences: list[list[int]]
    width: int

    def passes(self, most_tokens: int) -> list[list[list[int]]]:
        """The sequences cut into forward passes of at most `most_tokens` tokens, padding included, and of sizes as
        equal as they can be; at least one sequence each."""
        most = max(1, most_tokens // max(1, self.width))
        count = -(-len(self.sequences) // most)
        size, larger = divmod(len(self.sequences), count)
        cuts = [0]
        for index in range(count):
            cuts.append(cuts[-1] + size + (index < larger))
        return [self.sequences[start:end] for start, end in pairwise(cuts)]


def pack(lengths: Sequence[int], max_length: int, hidden_size: int) -> Layout:
    """The cheapest of some ways to share sequences of at most `max_length` tokens among rows of these lengths.

    For each number of sequences the longest row goes first, each into the sequence that is emptiest (Graham's LPT
    rule), which keeps their lengths alike. A layer costs about 24 h^2 operations a token for its matrices and 4 w h for
    attention over w tokens (arXiv:2001.08361, table 1), which runs at about a sixth of a matrix product's speed on a
    processor (measured), so that a layout of n sequences costs n w (h + w).
    """
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    longest = lengths[order[0]]
    fewest = max(1, -(-sum(lengths) // max(max_length, longest)))
    layouts = (_spread(order, lengths, count) for count in _counts(fewest, len(order)))
    fitting = (layout for layout in layouts if layout.width <= max(max_length, longest))
    return min(fitting, key=lambda it: len(it.sequences) * it.width * (hidden_size + it.width))


def _counts(fewest: int, most: int) -> list[int]:
    """All numbers from `fewest` to `most`; where these are many, some at equal ratios: each is tried with all rows, and
    a step may have tens of thousands."""
    if most - fewest < _TRIED:
        return list(range(fewest, most + 1))
    return sorted({round(fewest * (most / fewest) ** (index / (_TRIED - 1))) for index in range(_TRIED)})


def in_line(lengths: Sequence[int], most_tokens: int) -> Layout:
    """As few sequences as hold at most `most_tokens` tokens each, or one longer row: for rows that follow each other
    without padding and attend by themselves."""
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    most = max(most_tokens, lengths[order[0]])
    count = -(-sum(lengths) // most)
    while (layout := _spread(order, lengths, count)).width > most:
        count = min(len(order), count + 1 + count // _TRIED)  # by ratio, once there are many
    return layout


def pass_tokens(micro_batch_size: int, max_length: int, hidden_size: int, *, on_processor: bool) -> int:
    """The most tokens of a forward pass.

    On a processor a larger pass than keeps a layer's states in its caches is no faster, and takes more memory: at most
    a megabyte of states, but enough tokens that each weight that is read is used often, and no more than make up for
    what each operation costs anyway.
    """
    most = micro_batch_size * max_length
    if not on_processor:
        return most
    return min(most, _MOST_TOKENS, max(_FEWEST_TOKENS, _CACHED_STATES // hidden_size))


def alone(lengths: Sequence[int]) -> Layout:
    """Each row in a sequence of its own, rows of like length beside each other."""
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    return Layout([[place] for place in order], lengths[order[0]])


def _spread(order: Sequence[int], lengths: Sequence[int], count: int) -> Layout:
    sequences: list[list[int]] = [[] for _ in range(count)]
    fill = [(0, index) for index in range(count)]
    for place in order:
        used, index = fill[0]
        heapq.heapreplace(fill, (used + lengths[place], index))
        sequences[index].append(place)
    return Layout(sequences, max(used for used, _ in fill))

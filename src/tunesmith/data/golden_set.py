"""Which rows are held out: pure decisions over what is known of each row, without its text.

Whether a row is chosen hangs on a hash of its own content and the seed, so the same rows give the same set,
and new rows leave most of an old choice standing. Rows that ask the same thing are one candidate: when it is
held out, the others leave the training part.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tunesmith.data.rows import Row
from tunesmith.schemas.enums import Half
from tunesmith.schemas.errors import InvalidArgument, UnmappedColumns

LEAST_ROWS = 8
QUARTILES = 4
MOST_VALUES = 50
"""Values of a column with a stratum of their own: the most frequent ones that repeat; the rest share one."""

_OTHER = "(other)"
_ABSENT = "(none)"
_RESPONSE_ROLES = ("response", "completion", "text")
_PROMPT_ROLES = ("instruction", "prompt")
_VALUE_CHARACTERS = 60

Stratum = tuple[str, int]
"""A column's value ("" when none was named) and a quartile of length, 0 to 3."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the choice needs to know of a row. `identity` is the same for rows that ask the same thing."""

    identity: bytes
    characters: int
    value: str = ""


@dataclass(frozen=True)
class Choice:
    """Row positions, from 0, of each half and of the leaks; held-out rows per stratum."""

    dev: frozenset[int]
    test: frozenset[int]
    leaks: frozenset[int]
    strata: dict[str, int]


def choose(candidates: Sequence[Candidate], size: int, seed: int) -> Choice:
    """Hold out `size` rows, but never more than half of the different ones.

    Raises:
        InvalidArgument: too few rows, or a size that leaves none; the recovery proposes one.
    """
    first_of = {row.identity: position for position, row in reversed(list(enumerate(candidates)))}
    _refuse_unusable(len(candidates), len(first_of), size)
    members = _strata(candidates, sorted(first_of.values()))
    quotas = _quotas(members, min(size, len(first_of) // 2))
    dev: set[int] = set()
    test: set[int] = set()
    balance = _Balance()
    for stratum in sorted(members):
        quota = quotas[stratum]
        chosen = _ranked(members[stratum], candidates, f"{seed}:held out")[:quota]
        dev_count = balance.dev_share(stratum[0], quota)
        in_order = _ranked(chosen, candidates, f"{seed}:half")
        dev.update(in_order[:dev_count])
        test.update(in_order[dev_count:])
    held_out = dev | test
    identities = {candidates[position].identity for position in held_out}
    leaks = {
        position
        for position, row in enumerate(candidates)
        if row.identity in identities and position not in held_out
    }
    strata = {_label(stratum): quotas[stratum] for stratum in sorted(members) if quotas[stratum]}
    return Choice(frozenset(dev), frozenset(test), frozenset(leaks), strata)


def half_of(choice: Choice, position: int) -> Half | None:
    """The half that a row belongs to, or None."""
    if position in choice.dev:
        return Half.DEV
    return Half.TEST if position in choice.test else None


def identity(row: Row) -> bytes:
    """A digest of what a row asks, blind to case and white space.

    Of a conversation: everything before the last assistant message. Of a row without a prompt: its text.
    """
    if row.messages:
        last = max(position for position, turn in enumerate(row.messages) if turn.role == "assistant")
        asked = "\x1f".join(f"{turn.role}:{_normalised(turn.content)}" for turn in row.messages[:last])
    else:
        asked = _normalised(row.prompt) or _normalised(row.completion)
    return _digest(asked)


def stratum_value(row: Row, column: str, columns: Mapping[str, str]) -> str | None:
    """The row's value in a column, given as a source column or as a role; None where the row has none.

    `columns` maps the dataset's roles to source columns.
    """
    role = next((role for role, source in columns.items() if column in (role, source)), None)
    if role in _RESPONSE_ROLES and not row.messages:
        return row.completion
    if role in _PROMPT_ROLES and not row.messages:
        return row.prompt
    return row.extras.get(column)


def with_values(candidates: Sequence[Candidate], values: Sequence[str | None]) -> list[Candidate]:
    """The candidates with their column's value, rare values taken together."""
    counts = Counter(value for value in values if value is not None).most_common(MOST_VALUES)
    frequent = {value for value, count in counts if count > 1}
    return [
        Candidate(
            row.identity,
            row.characters,
            _ABSENT if value is None else value[:_VALUE_CHARACTERS] if value in frequent else _OTHER,
        )
        for row, value in zip(candidates, values, strict=True)
    ]


def unknown_column(column: str, available: Iterable[str]) -> UnmappedColumns:
    """The error for a `stratify_by` that no row has."""
    names = sorted(available)
    listed = ", ".join(repr(name[:_VALUE_CHARACTERS]) for name in names[:MOST_VALUES]) or "none"
    proposal = (
        f"stratify_by={names[0][:_VALUE_CHARACTERS]!r}, or without it" if names else "without stratify_by"
    )
    return UnmappedColumns(
        f"stratify_by={column[:_VALUE_CHARACTERS]!r} is no column of this dataset. There are: {listed}.",
        f"Call build_golden_set again with {proposal}: it always stratifies by length.",
    )


def largest_remainder(weights: Mapping[Stratum, int], total: int) -> dict[Stratum, int]:
    """`total` shared out in proportion to the weights, in whole numbers; the largest remainders go up."""
    whole = sum(weights.values())
    shares = {key: total * weight // whole for key, weight in weights.items()}
    left = total - sum(shares.values())
    by_remainder = sorted(weights, key=lambda key: (-(total * weights[key] % whole), key))
    for key in by_remainder[:left]:
        shares[key] += 1
    return shares


class _Balance:
    """Shares strata out between the halves: they differ by at most one row, in each value and in all."""

    def __init__(self) -> None:
        self._surplus = 0
        self._surplus_of_value: Counter[str] = Counter()

    def dev_share(self, value: str, quota: int) -> int:
        """How many of the stratum's `quota` rows the dev half gets."""
        if quota % 2 == 0:
            return quota // 2
        lead = self._surplus_of_value[value] or self._surplus
        extra = 1 if lead <= 0 else -1
        self._surplus += extra
        self._surplus_of_value[value] += extra
        return (quota + extra) // 2


def _refuse_unusable(rows: int, different: int, size: int) -> None:
    proposal = max(2, min(200, different // 5))
    if different < LEAST_ROWS:
        raise InvalidArgument(
            f"The dataset has {rows} rows with {different} different prompts; a golden set needs at least "
            f"{LEAST_ROWS} different ones.",
            "Load a dataset with more rows.",
        )
    if size >= rows or size < 2:
        raise InvalidArgument(
            f"size={size} does not fit a dataset of {rows} rows.",
            f"Call build_golden_set again with size={proposal}: the held-out rows of both halves together.",
        )


def _strata(candidates: Sequence[Candidate], positions: Sequence[int]) -> dict[Stratum, list[int]]:
    lengths = sorted(candidates[position].characters for position in positions)
    bounds = [lengths[len(lengths) * part // QUARTILES] for part in range(1, QUARTILES)]
    members: dict[Stratum, list[int]] = {}
    for position in positions:
        row = candidates[position]
        members.setdefault((row.value, bisect_right(bounds, row.characters)), []).append(position)
    return members


def _quotas(members: Mapping[Stratum, Sequence[int]], size: int) -> dict[Stratum, int]:
    """First every value its share, then every length within it."""
    of_value: Counter[Stratum] = Counter()
    for (value, _), positions in members.items():
        of_value[(value, 0)] += len(positions)
    quotas: dict[Stratum, int] = {}
    for (value, _), share in largest_remainder(of_value, size).items():
        lengths = {stratum: len(positions) for stratum, positions in members.items() if stratum[0] == value}
        quotas.update(largest_remainder(lengths, share))
    return quotas


def _ranked(positions: Sequence[int], candidates: Sequence[Candidate], salt: str) -> list[int]:
    return sorted(positions, key=lambda position: _digest(f"{salt}:{candidates[position].identity.hex()}"))


def _label(stratum: Stratum) -> str:
    value, quartile = stratum
    length = f"length quartile {quartile + 1}"
    return f"{value} / {length}" if value else length


def _normalised(text: str) -> str:
    return " ".join(text.casefold().split())


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:16]

"""A figure of a run by step (its losses, learning rates, speeds), in bounded memory however long the run is.

    | head: the first points | merged: means of neighbours, weighted | recent: the newest points |

Both ends stay as they were told, because diagnosis compares the first points with the last ones and because a resumed
attempt repeats the newest. Up to HEAD + MERGED + RECENT points nothing is merged at all. The series is a function of
the points alone, in their order: whoever reads the same journal, in whatever pieces, gets the same one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Point = tuple[int, float]
"""An optimizer step and the figure there; of losses, the mean per token in nats."""
Group = tuple[int, float, int]
"""The last step of some neighbours, the mean of their figures, and how many they are."""

HEAD = 100
RECENT = 400
MERGED = 1500


@dataclass
class Series:
    """Points in the order of their steps, at most HEAD + MERGED + RECENT of them."""

    stride: int = 1
    """How many points a group holds once it is full."""
    head: list[Point] = field(default_factory=list)
    merged: list[Group] = field(default_factory=list)
    recent: list[Point] = field(default_factory=list)

    @property
    def points(self) -> list[Point]:
        """All of them; a group stands at its last step."""
        return [*self.head, *[(step, mean) for step, mean, _ in self.merged], *self.recent]

    def copy(self) -> Series:
        """The series as it is now, which stays so while this one goes on."""
        return Series(self.stride, [*self.head], [*self.merged], [*self.recent])

    def add(self, step: int, value: float) -> None:
        """Take the newest point. Points of this step and later ones, which an earlier attempt told, give way."""
        if self._last_step() >= step:
            self._drop_from(step)
        if len(self.head) < HEAD and not self.merged and not self.recent:
            self.head.append((step, value))
            return
        self.recent.append((step, value))
        if len(self.recent) > RECENT:
            self._merge(*self.recent.pop(0))

    def _last_step(self) -> int:
        newest = self.recent or self.merged or self.head
        return newest[-1][0] if newest else -1

    def _drop_from(self, step: int) -> None:
        # A group that reaches into what is repeated goes as a whole: its mean holds figures that no longer count.
        for part in (self.recent, self.merged, self.head):
            while part and part[-1][0] >= step:
                part.pop()
            if part:
                return

    def _merge(self, step: int, value: float) -> None:
        if self.merged and self.merged[-1][2] < self.stride:
            self.merged[-1] = _joined(self.merged[-1], (step, value, 1))
            return
        if len(self.merged) == MERGED:
            pairs = zip(self.merged[::2], self.merged[1::2], strict=True)
            self.merged = [_joined(left, right) for left, right in pairs]
            self.stride *= 2
        self.merged.append((step, value, 1))


def _joined(left: Group, right: Group) -> Group:
    count = left[2] + right[2]
    return right[0], (left[1] * left[2] + right[1] * right[2]) / count, count

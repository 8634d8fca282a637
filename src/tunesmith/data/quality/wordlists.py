"""Word lists as they stand in the modules that use them: one text, split into a set."""

from __future__ import annotations


def word_set(words: str, separator: str | None = None) -> frozenset[str]:
    """The words of a text, parted by blanks or by `separator`."""
    return frozenset(words.split(separator))

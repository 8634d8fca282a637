"""Questions to the person behind a client, as tools see them: they know nothing of how a client asks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Question:
    """A text with options to choose one of. `key` tells a question from all others, whenever it is asked."""

    key: str
    text: str
    title: str
    options: tuple[str, ...]


class Person(Protocol):
    """Somebody who may be asked in the middle of a call."""

    def ask(self, questions: Sequence[Question]) -> AsyncIterator[tuple[Question, str]]:
        """The questions that were answered, each with the chosen option, as the answers come.

        It ends early when the person does not want to go on or too much time has passed. It may also end the call, by
        an exception that must not be caught: then the client makes the same call again, with answers.
        """
        ...

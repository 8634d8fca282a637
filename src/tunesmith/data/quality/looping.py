"""Answers that say the same thing over and over, as a model does that does not find its end."""

from __future__ import annotations

import re
from collections import Counter

WINDOW_WORDS = 300
"""Words that are looked at together: longer texts repeat words naturally."""
LEAST_CHARACTERS = 60
LEAST_REPEATS = 4
SHARE = 0.5
"""The repetition has to make up at least half of the words looked at."""
_FEW_DISTINCT = 0.4
_LONGEST_UNIT_WORDS = 60
_TAIL = 24

_ASKS_FOR_REPETITION = re.compile(
    r"\brepeat|\btimes\b|\bascii\b|\bchorus|\bmantra|over and over|\bcopies\b|\bchant|\bmatrix|\bzeros\b"
    r"|\bprints?\b|infinite|endless",
    re.IGNORECASE,
)
_NUMBERING = re.compile(r"^\W*(?:\d{1,4}[.):]\s*)?|[\s\d.,;:!?)-]+$")
_UNIT_END = re.compile(r"[\n.!?;。！？；]+\s*")
_ONE_CHARACTER = re.compile(r"([^\W\d_])\1{39}")
_FENCE = "```"


def is_looping(prompt: str, text: str) -> bool:
    """Whether at least half of an answer, or of its last 300 words, is one phrase at least four times in a"
    " row."""
    if len(text) < LEAST_CHARACTERS:
        return False
    words = text.split() if len(text) < 20_000 else text[-20_000:].split()
    if len(words) < 12:
        return _loops_without_blanks(text) and not _ASKS_FOR_REPETITION.search(prompt)
    window = words[-WINDOW_WORDS:]
    if len(set(window)) > _FEW_DISTINCT * len(window) and not _repeats_its_end(text):
        head = words[:WINDOW_WORDS]
        if len(words) <= WINDOW_WORDS or len(set(head)) > _FEW_DISTINCT * len(head):
            return False
        window = head
    if not _has_loop(window, text) or text.startswith(_FENCE):
        return False
    return not _ASKS_FOR_REPETITION.search(prompt)


def _has_loop(words: list[str], text: str) -> bool:
    return _loops(words) or _repeats_units(text)


def _repeats_its_end(text: str) -> bool:
    """Whether the last characters stand in the text at least four times; for texts that vary between the"
    " repeats."""
    return text.count(text[-_TAIL:], max(0, len(text) - 4_000)) >= LEAST_REPEATS


def _loops(words: list[str]) -> bool:
    """Whether one period of words fills at least half of them. Linear for each period that comes into"
    " question."""
    needed = SHARE * len(words)
    for period in _periods(words):
        run = best = 0
        for earlier, later in zip(words, words[period:], strict=False):
            run = run + 1 if earlier == later else 0
            best = max(best, run)
        covered = best + period
        if covered >= needed and covered >= LEAST_REPEATS * period and _says_something(words, period):
            return True
    return False


def _periods(words: list[str]) -> list[int]:
    """Distances between equal words that occur often enough to be the period of a loop; the most frequent"
    " first."""
    last: dict[str, int] = {}
    distances: Counter[int] = Counter()
    for place, word in enumerate(words):
        if word in last:
            distances[place - last[word]] += 1
        last[word] = place
    return [distance for distance, _ in distances.most_common(4) if distance <= _LONGEST_UNIT_WORDS]


def _says_something(words: list[str], period: int) -> bool:
    """Not a table of numbers, dashes or bars: a loop of words, or of list numbers with nothing behind"
    " them."""
    middle = len(words) // 2
    unit = words[middle : middle + period]
    return any(any(character.isalpha() for character in word) for word in unit) or bool(
        re.fullmatch(r"\d{1,3}[.)]", unit[0])
    )


def _repeats_units(text: str) -> bool:
    """Whether one sentence or line, whatever its number, makes up most of them."""
    units = [_NUMBERING.sub("", unit).casefold() for unit in _UNIT_END.split(text[-20_000:])]
    units = [unit for unit in units if len(unit) > 2]
    if len(units) < LEAST_REPEATS + 1:
        return False
    unit, count = Counter(units).most_common(1)[0]
    share = count * len(unit) / sum(map(len, units))
    return count >= LEAST_REPEATS and share >= SHARE and len(unit) * count >= LEAST_CHARACTERS and " " in unit


def _loops_without_blanks(text: str) -> bool:
    """The same for languages without blanks between words, and for one letter without end."""
    part = text[-2_000:]
    if _ONE_CHARACTER.search(part):
        return True
    tail = part[-8:]
    if part.count(tail) < LEAST_REPEATS or not any(character.isalpha() for character in tail):
        return False
    period = len(part) - 8 - part.rfind(tail, 0, len(part) - 1)
    if period <= 0:
        return False
    run = 0
    for place in range(len(part) - 1, period - 1, -1):
        if part[place] != part[place - period]:
            break
        run += 1
    return run + period >= max(LEAST_CHARACTERS, LEAST_REPEATS * period, SHARE * len(part))

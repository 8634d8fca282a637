"""Which language a text is in, and rows in another language than the rest of a dataset."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

LEAST_LETTERS = 40
"""Shorter texts, by letters that belong to words, are not judged by the model: it is right on too few of"
" them."""
LEAST_CONFIDENCE = 0.6
"""Below this the model only guesses. Right answers about English prose are nearly all above 0.99."""
LARGEST_DOUBT = 0.01
"""Probability of the dataset's own language below which a text is in another one."""
HABIT_SHARE = 0.8
"""A dataset has a language when this share of its judged rows is in it. Below, several languages are its"
" nature."""
_LOOKED_AT = 600
"""Characters of a text that are looked at; more change nothing."""


class Identified(NamedTuple):
    """A language (ISO 639-1) and the model's probability for it."""

    language: str
    confidence: float


_SCRIPTS: dict[str, re.Pattern[str]] = {
    "kana": re.compile("[\u3040-\u30ff\u31f0-\u31ff\uff66-\uff9d]"),
    "han": re.compile("[\u3400-\u9fff\U00020000-\U0003134f]"),
    "hangul": re.compile("[\u1100-\u11ff\uac00-\ud7a3]"),
    "cyrillic": re.compile("[\u0400-\u052f]"),
    "arabic": re.compile("[\u0620-\u06ff\u0750-\u077f\ufb50-\ufdff\ufe70-\ufefc]"),
    "hebrew": re.compile("[\u05d0-\u05ea]"),
    "greek": re.compile("[\u0370-\u03ff\u1f00-\u1fff]"),
    "devanagari": re.compile("[\u0900-\u097f]"),
    "bengali": re.compile("[\u0980-\u09ff]"),
    "tamil": re.compile("[\u0b80-\u0bff]"),
    "telugu": re.compile("[\u0c00-\u0c7f]"),
    "thai": re.compile("[\u0e00-\u0e7f]"),
    "georgian": re.compile("[\u10a0-\u10ff]"),
    "armenian": re.compile("[\u0530-\u058f]"),
    "ethiopic": re.compile("[\u1200-\u137f]"),
    "khmer": re.compile("[\u1780-\u17ff]"),
}
_LANGUAGE_OF_SCRIPT = {
    "kana": "ja",
    "han": "zh",
    "hangul": "ko",
    "hebrew": "he",
    "greek": "el",
    "bengali": "bn",
    "tamil": "ta",
    "telugu": "te",
    "thai": "th",
    "georgian": "ka",
    "armenian": "hy",
    "ethiopic": "am",
    "khmer": "km",
}
"""Scripts that one language uses nearly alone; Cyrillic, Arabic and Devanagari are left to the model."""
_LATIN_WORD = re.compile(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff]+")
_LEAST_SCRIPT_LETTERS = 4
_SCRIPT_SHARE = 0.3


def script(text: str) -> str | None:
    """The script most of a text is in: latin, han, cyrillic and so on; None if it has too few letters.

    A Latin word counts as one letter: the names of programs in a Chinese sentence do not make it English.
    """
    part = text[:_LOOKED_AT]
    if part.isascii():
        return "latin" if _LATIN_WORD.search(part) else None
    latin = len(_LATIN_WORD.findall(part))
    letters = {name: len(pattern.findall(part)) for name, pattern in _SCRIPTS.items() if pattern.search(part)}
    if letters.get("kana", 0) * 5 > letters.get("han", 0):
        letters["kana"] = letters["kana"] + letters.pop("han", 0)
    if letters:
        name, count = max(letters.items(), key=lambda item: item[1])
        if count >= _LEAST_SCRIPT_LETTERS and count >= _SCRIPT_SHARE * (count + latin):
            return name
    return "latin" if latin else None


_NOT_PROSE = re.compile(
    r"```.{0,2000}?(?:```|\Z)|`[^`\n]{1,200}`|https?://\S{1,500}|[\w.+-]{1,64}@[\w.-]{1,100}", re.DOTALL
)
_CODE_LINE = re.compile(
    r"[;{}=<>]\s*$|^\s*(?:def |class |import |from \w+ import|return |#|//|SELECT |[{}()\[\]])"
)
_PROSE_WORD = re.compile(r"(?<![\w'’-])[^\W\d_]{1,25}(?![\w])")


def identify(text: str) -> Identified | None:
    """The language of a text, or None where it is too short or too much like code to tell.

    Scripts with one language decide by themselves; for others the model of py3langid (Lui and Baldwin 2012,
    "langid.py") is asked, about the words only.
    """
    ranked = _ranked(text)
    return ranked[0] if ranked else None


def _ranked(text: str) -> list[Identified]:
    """Languages with their probabilities, the most likely first; none where the text cannot tell."""
    name = script(text)
    if name is None:
        return []
    if name in _LANGUAGE_OF_SCRIPT:
        return [Identified(_LANGUAGE_OF_SCRIPT[name], 1.0)]
    words = _prose(text)
    if sum(map(len, words)) < LEAST_LETTERS:
        return []
    return [Identified(language, float(share)) for language, share in _model().rank(" ".join(words))]


def _prose(text: str) -> list[str]:
    """The words of a text without code, addresses, names in the middle of sentences and abbreviations."""
    plain = _NOT_PROSE.sub(" ", text[: 4 * _LOOKED_AT])
    lines = [line for line in plain.splitlines() if not _CODE_LINE.search(line)]
    words = _PROSE_WORD.findall("\n".join(lines)[:_LOOKED_AT])
    return [word for word in words if not word[0].isupper()]


@cache
def _model() -> Any:
    # 0.2 s and 60 MB: only where languages are looked at.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


_ASKS_FOR_LANGUAGE = re.compile(
    r"translat|language|\b(?:in|into|to|from|the|of|speak|word|say) (?:english|french|spanish|german"
    r"|italian|portuguese|chinese"
    r"|mandarin|japanese|korean|russian|arabic|hindi|latin|greek|dutch|swedish|turkish|hebrew|polish"
    r"|vietnamese|thai)"
    r"|\b(?:French|Spanish|German|Italian|Portuguese|Chinese|Mandarin|Japanese|Korean|Russian|Arabic|Hindi"
    r"|Latin|Greek)\b"
    r"|tradu[czi]|übersetz|перев[её]д|на \w+ язык|翻[译譯訳]|번역|ترجم|अनुवाद",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class LanguageHabit:
    """The language and script of most rows of a dataset; None where it has no single one."""

    language: str | None
    script: str | None
    judged: int
    """Rows of the sample whose language could be told."""

    @classmethod
    def of(cls, sample: Iterable[tuple[str, str]]) -> LanguageHabit:
        """From some rows as (prompt, answer); about 1,000 rows a second."""
        languages: Counter[str] = Counter()
        scripts: Counter[str] = Counter()
        for prompt, answer in sample:
            found = identify(f"{prompt}\n{answer}")
            name = script(f"{prompt}\n{answer}")
            if found is not None and found.confidence >= LEAST_CONFIDENCE:
                languages[found.language] += 1
            if name is not None:
                scripts[name] += 1
        return cls(_most(languages), _most(scripts), languages.total())

    def differs_in_script(self, prompt: str, answer: str) -> bool:
        """Whether a row is in another script. A few microseconds: for every row."""
        if self.script is None or (self.script == "latin" and prompt.isascii() and answer.isascii()):
            return False
        found = {script(prompt), script(answer)} - {None, self.script}
        return bool(found) and not _ASKS_FOR_LANGUAGE.search(prompt)

    def differs(self, prompt: str, answer: str) -> bool:
        """Whether a row is in another language. About 400 microseconds: for a sample."""
        if self.differs_in_script(prompt, answer):
            return True
        if self.language is None or _ASKS_FOR_LANGUAGE.search(prompt):
            return False
        return any(self._is_other(text) for text in (prompt, answer))

    def _is_other(self, text: str) -> bool:
        """By how unlikely the habit is: close relatives (Spanish and Catalan) may share the rest."""
        ranked = _ranked(text)
        if not ranked or ranked[0].confidence < LEAST_CONFIDENCE:
            return False
        return sum(one.confidence for one in ranked if one.language == self.language) < LARGEST_DOUBT


def _most(counts: Counter[str]) -> str | None:
    if not counts:
        return None
    name, count = counts.most_common(1)[0]
    return name if count >= HABIT_SHARE * counts.total() else None

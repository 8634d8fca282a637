"""Texts made to be slow: every check has to end in a time that grows with the length of the text, not faster.

For a quadratic rule these would be tens of billions of steps, and the time limit of a test would end it.
"""

from __future__ import annotations

import pytest

from tunesmith.data.quality.answer_checks import answer_kinds
from tunesmith.data.quality.languages import LanguageHabit
from tunesmith.data.quality.repair import redact, repair, strip_html
from tunesmith.data.quality.text_checks import text_kinds

LENGTH = 250_000
UNITS = [
    "a", "=", "<", "@", "1", " ", "\n", ".", "-", "&", "é", "Ã", "中", "<p>", "a@", "a.", "1-", "1.",
    "1 ", "4111 ", "+1 ", "&amp;",
    "password=", "://a:", "-----BEGIN PRIVATE KEY-----", "eyJ.", "sk-a-", "you are ", "`", "```", "(",
    "I ", "A1B2 ", "DE89 ", "\u200b",
    "\x1b[", "<a b=", "as an ai ", "sorry ", "call ", "1:", "::", "[", "{", '{"a":', "€", "РС",
]  # fmt: skip


@pytest.mark.timeout(20)
@pytest.mark.parametrize("unit", UNITS)
def test_a_long_row_of_one_thing_is_checked_in_time(unit: str) -> None:
    text = (unit * LENGTH)[:LENGTH]
    assert isinstance(
        answer_kinds("Describe it.", text) | answer_kinds(text, text) | text_kinds(text, text), set
    )
    LanguageHabit("en", "latin", 1).differs(text, text)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "unit",
    [
        "+1 555 010 0199",
        "\x85",
        "<p>",
        "&amp;",
        "\x1b[",
        "Ã©",
        "a@b.cd ",
        "\x00",
        "\u200b",
        "1 ",
        "-----BEGIN PRIVATE KEY-----",
    ],
)
def test_a_long_row_of_damage_is_repaired_in_time(unit: str) -> None:
    text = (unit * LENGTH)[: LENGTH // 2]
    assert len(repair(text)) <= len(text)
    assert len(strip_html(text)) <= len(text)
    redact(text)

"""Damaged characters, and unusual ones that are sound."""

from __future__ import annotations

import pytest

from tunesmith.data.quality.text_checks import text_kinds

HTML = [
    "<p>Hello world</p>",
    "Fish &amp; chips are great",
    "I love it<br>so much<br/>yes",
    "Bread&nbsp;is good",
    "It&#39;s fine",
    '<a href="x.html">link</a> to it',
    '<div class="post">Some text</div>',
]
NO_HTML = [
    "if a<b and c>d",
    "Use the <b> tag in HTML to make it bold: <b>x</b>",
    "```html\n<p>x</p>\n```",
    "<think>hm</think>",
    "AT&T and R&D; fine",
    "x < y > z",
    "Use `<br>` here",
    "<<48/2=24>>24",
    "Write a web page: <p>hi</p>",
    "<html><body><p>x</p></body></html>",
]

MOJIBAKE = [
    "cafÃ© au lait",
    "itâ€™s fine",
    "schÃ¶n und grÃ¼n",
    "naÃ¯ve",
    "â€œquotedâ€\x9d",
    "Ð¿Ñ€Ð¸Ð²ÐµÑ‚ Ð¼Ð¸Ñ€",
    "РџСЂРёРІРµС‚ РјРёСЂ",
    "FranÃ§ois",
    "Â£5 and Â©2020",
]
NO_MOJIBAKE = [
    "café au lait",
    "it’s “fine” – really…",
    "schön und grün",
    "привет мир",
    "РОССИЯ И США",
    "你好，世界",
    "São Paulo É",
    "naïve façade",
    "🎉👍🏽",
    "£5 and ©2020",
    "Ñandú ÁÉÍÓÚ",
    "Ångström",
    "العربية",
    "€50 – 60",
    "ÂÊÎÔÛ",
    "x² ± ½ × ÷",
    "L’Été à Évry « ici »",
    "→ • ✓",
]

INVISIBLE_CHARACTER = [
    "a\u200bb",
    "a\xadb",
    "\ufeffhello",
    "ab\u202ecd",
    "hi\U000e0041\U000e0042",
]
NO_INVISIBLE_CHARACTER = [
    "👨\u200d👩\u200d👧",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "می\u200cخواهم",
    "ภาษา\u200bไทย",
    "❤️",
    "a\xa0b",
    "שלום\u200f!",
]

CONTROL_CHARACTER = [
    "a\x07b",
    "\x1b[31mred",
    "a\x00b",
    "x\x7f",
    "a\x85b\x9f",
]
NO_CONTROL_CHARACTER = [
    "a\tb\nc\r\nd",
    "é",
    "a\x0cb",
]


@pytest.mark.parametrize("text", HTML)
def test_html_is_found(text: str) -> None:
    assert "html" in text_kinds(text)


@pytest.mark.parametrize("text", NO_HTML)
def test_html_is_not_seen_where_there_is_none(text: str) -> None:
    assert "html" not in text_kinds(text)


@pytest.mark.parametrize("text", MOJIBAKE)
def test_mojibake_is_found(text: str) -> None:
    assert "mojibake" in text_kinds(text)


@pytest.mark.parametrize("text", NO_MOJIBAKE)
def test_mojibake_is_not_seen_where_there_is_none(text: str) -> None:
    assert "mojibake" not in text_kinds(text)


@pytest.mark.parametrize("text", INVISIBLE_CHARACTER)
def test_invisible_character_is_found(text: str) -> None:
    assert "invisible_character" in text_kinds(text)


@pytest.mark.parametrize("text", NO_INVISIBLE_CHARACTER)
def test_invisible_character_is_not_seen_where_there_is_none(text: str) -> None:
    assert "invisible_character" not in text_kinds(text)


@pytest.mark.parametrize("text", CONTROL_CHARACTER)
def test_control_character_is_found(text: str) -> None:
    assert "control_character" in text_kinds(text)


@pytest.mark.parametrize("text", NO_CONTROL_CHARACTER)
def test_control_character_is_not_seen_where_there_is_none(text: str) -> None:
    assert "control_character" not in text_kinds(text)


def test_lost_characters_are_found() -> None:
    assert text_kinds("A n\ufffdun") == {"replacement_character"}


def test_markup_is_sound_where_the_prompt_is_about_it() -> None:
    assert text_kinds("<p>Hello</p>", "Write a paragraph in HTML.") == set()
    assert text_kinds("<p>Hello</p>", "Greet me.") == {"html"}

"""Repairs mend what is damaged and touch nothing else."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunesmith.data.quality.personal_data import PERSONAL_DATA_KINDS
from tunesmith.data.quality.repair import redact, repair, strip_html
from tunesmith.data.quality.text_checks import text_kinds

SOUND = [
    "It’s “fine” – really… ﬁne, ｆｕｌｌ　ｗｉｄｔｈ",
    "e\u0301 stays decomposed, é composed",
    "你好，世界。これはペンです。",
    "👨\u200d👩\u200d👧 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f ❤️",
    "Tabs\tand\r\nline ends\n stay",
    "if a < b && c > d: then `&lt;`",
    "AT&T, R&D; 5 &c.",
    "می\u200cخواهم שלום\u200f!",
]
FRAGMENTS = st.sampled_from(
    ["Ã©", "â€™", "Ã", "\u00a0", " ", "&amp;", "&lt;", "p&gt;", "\x1b[31m", "\x00", "\u200b", "\ufeff",
    "\x85", "\x93", "é", "中", "a", "1",
     "<p>", "</p>", "<br>", "\n", "@", "example.com", "bob", "555-123-4567", "4111 1111 1111 1111",
     "password=", "x1y2z3a4", "://", ":"]
)  # fmt: skip
DAMAGED = st.one_of(st.text(max_size=60), st.lists(FRAGMENTS, max_size=25).map("".join))


@pytest.mark.parametrize(
    ("damaged", "mended"),
    [
        ("cafÃ© itâ€™s", "café it’s"),
        ("a\x1b[31mred\x1b[0m b\x07", "ared b"),
        ("zero\u200bwidth\ufeff soft\u00adhyphen", "zerowidth softhyphen"),
        ("Fish &amp; chips", "Fish & chips"),
        ("ab\u202ecd", "abcd"),
    ],
)
def test_damage_is_repaired(damaged: str, mended: str) -> None:
    assert repair(damaged) == mended
    assert text_kinds(mended) == set()


@pytest.mark.parametrize("text", SOUND)
def test_sound_text_stays_as_it_is(text: str) -> None:
    assert repair(text) == text
    assert redact(text) == (text, {})


@given(st.text(alphabet=string.printable.replace("\x0b", "").replace("&", "")))
def test_sound_ascii_stays_as_it_is(text: str) -> None:
    assert repair(text) == text


@given(DAMAGED)
def test_repairing_twice_is_repairing_once(text: str) -> None:
    once = repair(text)
    assert repair(once) == once


@given(DAMAGED)
def test_stripping_tags_twice_is_stripping_once(text: str) -> None:
    once = strip_html(text)
    assert strip_html(once) == once


@given(DAMAGED)
def test_nothing_personal_or_secret_is_left_after_redaction(text: str) -> None:
    redacted, counts = redact(text)
    assert text_kinds(redacted).isdisjoint({*PERSONAL_DATA_KINDS, "secret"})
    assert (redacted == text) == (not counts)


def test_what_is_redacted_is_named_and_counted() -> None:
    redacted, counts = redact("Mail bob@example.com or ann@example.com, call 555-123-4567, password=hunter2!")
    assert redacted == "Mail [EMAIL] or [EMAIL], call [PHONE], password=[SECRET]!"
    assert counts == {"email": 2, "phone": 1, "secret": 1}


def test_only_the_kinds_asked_for_are_redacted() -> None:
    assert (
        redact("bob@example.com, password=hunter2!", ("secret",))[0] == "bob@example.com, password=[SECRET]!"
    )


def test_a_private_key_is_redacted_as_a_whole() -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nabc=\n-----END RSA PRIVATE KEY-----"
    assert redact(f"Key:\n{key}\nEnd") == ("Key:\n[SECRET]\nEnd", {"secret": 1})


@pytest.mark.parametrize(
    ("markup", "plain"),
    [
        ('<div class="answer"><p>Bread &amp; butter.<br>&nbsp;Good.</p></div>', "Bread & butter.\n\xa0Good."),
        ("<ul><li>one</li><li>two</li></ul>", "one\n\ntwo"),
        ("<b>Loud</b> and <i>soft</i><br>words", "Loud and soft\nwords"),
        ("Mind `<br>` in code, <p>please</p>", "Mind `<br>` in code, please"),
        ("a < b and c > d", "a < b and c > d"),
    ],
)
def test_tags_and_entities_are_stripped(markup: str, plain: str) -> None:
    assert strip_html(markup) == plain


def test_markup_that_was_asked_for_is_not_stripped() -> None:
    assert strip_html("<p>Hello</p>", "Write a paragraph in HTML.") == "<p>Hello</p>"

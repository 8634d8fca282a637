import pytest

from tunesmith.jobs.scrub import scrub, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m \x1b[2J\x1b[1;1Hhome", "red home"),
        ("\x9b31mred", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0;2;0\x1b\\after", "after"),
        ("\x1b", ""),
        ("\x1b\x1b[31m[31m", "[31m"),
        ("a\x00b\x07c\x08d\x7fe\x9ff", "abcdef"),
        ("one\r\ntwo\rthree\u2028four\tfive\n", "one\ntwo\nthree\nfour\tfive\n"),
        ("safe\u202egpj.exe\u202c \u2066x\u2069\u200e\u200f\u061c", "safegpj.exe x"),
        ("zero\u200bwidth\u200c\u200d\u2060\ufeff\u00ad", "zerowidth"),
        ("tags\U000e0041\U000e0042\U000e007f\U000e0101", "tags"),
        ("lone \ud800 surrogate", "lone \ufffd surrogate"),
        ("déjà vu, 東京, 🙂 ❤\ufe0f", "déjà vu, 東京, 🙂 ❤\ufe0f"),
    ],
)
def test_what_could_drive_a_terminal_or_hide_from_a_reader_goes(text: str, shown: str) -> None:
    assert scrub(text, 1000) == shown
    assert scrub(scrub(text, 1000), 1000) == shown


def test_an_invisible_character_inside_an_escape_does_not_save_it() -> None:
    assert scrub("\x1b\u200b[31mred", 100) == "red"


def test_a_long_text_is_cut_to_the_limit_and_says_so() -> None:
    assert scrub("x" * 100, 10) == "x" * 9 + "…"
    assert scrub("x" * 10, 10) == "x" * 10


def test_an_unterminated_title_sequence_does_not_swallow_the_text() -> None:
    assert scrub("\x1b]0;title and text", 100) == "]0;title and text"


def test_hidden_characters_of_a_name_are_spelled_out_and_the_rest_stays() -> None:
    assert visible("col\u202e\x1bumn \U000e0041\ud800é\n") == "col\\u202e\\u001bumn \\U000e0041\\ud800é\n"
    assert visible(visible("a\u200bb")) == "a\\u200bb"

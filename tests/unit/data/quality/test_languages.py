"""Rows in another language than the rest."""

from __future__ import annotations

import pytest

from tunesmith.data.quality.languages import LanguageHabit, identify, script

ENGLISH = [
    (
        "Describe the sea.",
        "The sea is a large body of salt water that covers most of the earth and is full of life.",
    ),
    (
        "Name a good breakfast.",
        "A bowl of oats with some milk and a few slices of apple is a good way to start a day.",
    ),
    (
        "Why do birds sing?",
        "Birds sing because they want to find a mate or to keep others away from their nest.",
    ),
] * 10
FRENCH = (
    "Décris la mer.",
    "La mer est une grande étendue d'eau salée qui couvre la plus grande partie de la terre et qui est"
    " pleine de vie.",
)
GERMAN = (
    "Warum singen die Vögel?",
    "Sie singen, weil sie einen Partner finden wollen oder andere von ihrem Nest fernhalten möchten, und"
    " das jeden Morgen.",
)
SPANISH = (
    "Describe un buen desayuno.",
    "Un plato de avena con leche y unas rodajas de manzana es una buena manera de empezar el día con"
    " energía.",
)
PORTUGUESE = (
    "Porque cantam os pássaros?",
    "Os pássaros cantam porque querem encontrar um parceiro ou afastar outros do ninho.",
)
CHINESE = ("为什么鸟会唱歌？", "鸟类唱歌是为了寻找配偶，或者让其他鸟类远离它们的巢穴。")


@pytest.fixture(scope="module")
def english() -> LanguageHabit:
    return LanguageHabit.of(ENGLISH)


def test_the_habit_of_a_dataset_is_found(english: LanguageHabit) -> None:
    assert (english.language, english.script) == ("en", "latin")


@pytest.mark.parametrize("row", [FRENCH, GERMAN, SPANISH, PORTUGUESE, CHINESE, (ENGLISH[0][0], FRENCH[1])])
def test_a_row_in_another_language_differs(english: LanguageHabit, row: tuple[str, str]) -> None:
    assert english.differs(*row)


@pytest.mark.parametrize(
    "row",
    [
        *ENGLISH[:3],
        ("Translate to French: Good morning, how are you today?", FRENCH[1]),
        ("How do you say thank you in Japanese?", "ありがとうございます"),
        ("Write a function that adds two numbers.", "def add(a, b):\n    return a + b"),
        ("Name a city.", "São Paulo"),
        ("Solve x² + 2x = 0.", "x = 0 or x = -2"),
        ("What is pi?", "π ≈ 3.14159"),
        (
            "List three Italian dishes.",
            "Spaghetti alla carbonara, risotto alla milanese, lasagne alla bolognese",
        ),
        ("Show me.", "👍🎉"),
    ],
)
def test_a_row_that_only_mentions_foreign_words_does_not_differ(
    english: LanguageHabit, row: tuple[str, str]
) -> None:
    assert not english.differs(*row)


def test_another_script_is_seen_without_the_model(english: LanguageHabit) -> None:
    assert english.differs_in_script(*CHINESE)
    assert english.differs_in_script("Почему птицы поют?", "Потому что весна.")
    assert not english.differs_in_script(*FRENCH)


def test_a_dataset_in_many_languages_has_no_habit() -> None:
    habit = LanguageHabit.of([*ENGLISH[:3], FRENCH, GERMAN, SPANISH] * 5)
    assert habit.language is None
    assert not habit.differs(*FRENCH)


def test_english_rows_differ_in_a_french_dataset() -> None:
    habit = LanguageHabit.of([FRENCH] * 20)
    assert habit.differs(*ENGLISH[0])
    assert not habit.differs(*FRENCH)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("これはペンです。", "ja"),
        ("이것은 연필입니다.", "ko"),
        (CHINESE[1], "zh"),
        (FRENCH[1], "fr"),
        (GERMAN[1], "de"),
    ],
)
def test_languages_are_identified(text: str, language: str) -> None:
    found = identify(text)
    assert found is not None
    assert found.language == language


@pytest.mark.parametrize("text", ["", "ok", "12345", "x = y + z;", "Paris"])
def test_short_and_code_like_texts_have_no_language(text: str) -> None:
    assert identify(text) is None


def test_program_names_do_not_change_the_script() -> None:
    assert script("使用 Adobe Illustrator 创建一个海洋蓝色主题的标志") == "han"
    assert script("") is None

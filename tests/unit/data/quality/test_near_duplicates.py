from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from tunesmith.data.quality.near_duplicates import Copies, find_copies
from tunesmith.data.rows import Message, Row, row_groups, write_rows
from tunesmith.schemas.datasets import RowKind
from tunesmith.schemas.errors import UnreadableSource

WORDS = [
    a + b + c for a in "bdfgklmnprst" for b in ("a", "en", "ir", "o") for c in ("", "ta", "mis", "ker", "lun")
]
STORY = (
    "Explain why the sky is blue.",
    "The sky looks blue because air scatters short waves of light more strongly than long ones, and our eyes see "
    "blue better than violet, of which the sun sends less.",
)


def compare(
    folder: Path, rows: list[Row], row_kind: RowKind = "prompt_completion", workers: int = 1
) -> Copies:
    write_rows(folder / "rows.parquet", rows, row_kind)
    return find_copies(folder / "rows.parquet", folder, workers, lambda share: None)


def pairs(*texts: tuple[str, str]) -> list[Row]:
    return [Row(number, prompt, completion) for number, (prompt, completion) in enumerate(texts, start=1)]


def passage(chance: random.Random, words: int) -> str:
    return " ".join(chance.choices(WORDS, k=words))


@pytest.mark.parametrize(
    "copy",
    [
        (STORY[0].upper(), STORY[1]),
        (STORY[0], STORY[1].replace("strongly", "heavily")),
        (STORY[0], STORY[1].replace(", ", " , ").replace(".", " !")),
        (f"  {STORY[0]}\n", STORY[1].replace(" and our", " our")),
        (STORY[0].replace(".", " please."), STORY[1]),
        (STORY[0], STORY[1].replace("blue", "ｂｌｕｅ")),  # full-width letters
    ],
    ids=["capitals", "a word swapped", "punctuation", "a word dropped", "a word added", "other code points"],
)
def test_a_row_with_small_edits_is_a_near_copy(tmp_path: Path, copy: tuple[str, str]) -> None:
    assert compare(
        tmp_path, pairs(STORY, ("Hello?", "Hello, how are you today?"), copy)
    ).originals.tolist() == [-1, -1, 0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("Is it raining?", "yes"), ("Is it late?", "yes")),
        (("What is the capital of France?", "Paris"), ("What is the capital of Spain?", "Madrid")),
        (("What is 12 + 7?", "19"), ("What is 12 - 7?", "5")),
        (("?", "!"), ("...", ";")),
        (("Tell me how to pick a lock.", STORY[1]), ("Write a poem about my cat.", STORY[1])),
        ((f"{STORY[1]} What scatters light?", "air"), (f"{STORY[1]} What sends violet?", "the sun")),
        (
            ("largest city of texas", f"select name from city where state is texas and {STORY[1]}"),
            ("largest city of kansas", f"select name from city where state is kansas and {STORY[1]}"),
        ),
    ],
    ids=[
        "short answers",
        "other names",
        "other signs",
        "no words",
        "one canned answer",
        "one passage",
        "one form",
    ],
)
def test_rows_that_say_different_things_are_no_copies(
    tmp_path: Path, one: tuple[str, str], other: tuple[str, str]
) -> None:
    assert compare(tmp_path, pairs(one, other)).originals.tolist() == [-1, -1]


def test_every_copy_points_at_the_first_row_of_its_group(tmp_path: Path) -> None:
    copies = [(STORY[0], STORY[1].replace(word, "so")) for word in ("air", "looks", "sun")]
    assert compare(tmp_path, pairs(("Hi", "Hello there"), STORY, *copies)).originals.tolist() == [
        -1,
        -1,
        1,
        1,
        1,
    ]


def test_a_template_around_every_question_makes_no_copies(tmp_path: Path) -> None:
    chance = random.Random(0)
    template = "Below is a message of a customer . Say what it is about in one word . The message follows : "
    rows = pairs(*((template + passage(chance, 6), "card") for _ in range(200)))
    assert (compare(tmp_path, rows).originals == -1).all()
    again = [*rows, Row(201, rows[7].prompt.upper(), "Card.")]
    assert np.flatnonzero(compare(tmp_path, again).originals >= 0).tolist() == [200]


def test_a_template_hides_no_text_that_comes_often(tmp_path: Path) -> None:
    chance = random.Random(0)
    often = passage(chance, 40)
    rows = pairs(*((passage(chance, 20), passage(chance, 20)) for _ in range(100)))
    copies = [Row(101 + n, often, f"{passage(random.Random(1), 30)} {WORDS[n]}") for n in range(30)]
    assert (compare(tmp_path, rows + copies).originals >= 0).sum() == 29


def test_edited_copies_among_many_rows_are_found_and_others_are_not(tmp_path: Path) -> None:
    chance = random.Random(5)
    rows = pairs(*((passage(chance, 15), passage(chance, 45)) for _ in range(900)))
    for number in range(100):
        words = rows[9 * number].completion.split()
        words[chance.randrange(45)] = "quite"
        rows.append(Row(901 + number, rows[9 * number].prompt, " ".join(words)))
    originals = compare(tmp_path, rows).originals
    assert originals[900:].tolist() == [9 * number for number in range(100)]
    assert (originals[:900] == -1).all()


def test_several_processes_find_what_one_finds(tmp_path: Path) -> None:
    chance = random.Random(2)
    rows = pairs(*((passage(chance, 4), passage(chance, 4)) for _ in range(41_000)))
    rows += [Row(50_000 + n, rows[n].prompt, rows[n].completion + "!") for n in range(0, 1_000, 10)]
    rows += [Row(60_000 + n, rows[n].prompt, passage(chance, 3)) for n in range(1, 1_000, 10)]
    alone, together = compare(tmp_path, rows), compare(tmp_path, rows, workers=2)
    assert len(row_groups(tmp_path / "rows.parquet")) == 3
    assert np.array_equal(alone.originals, together.originals)
    assert np.array_equal(alone.contradicted, together.contradicted)
    assert (together.originals >= 0).sum() >= 100 and (together.contradicted >= 0).sum() >= 100


def test_the_same_question_with_another_answer_conflicts_with_the_first(tmp_path: Path) -> None:
    rows = pairs(
        ("Write a poem.", "Roses are red"),
        ("write a  POEM", "The sea at night"),
        ("Write a poem!", "roses are red."),
    )
    assert compare(tmp_path, rows).contradicted.tolist() == [-1, 0, -1]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("Name a fruit", "apple"), ("Name a colour", "red")),
        (("Classify: good", "Positive"), ("classify: good", "positive.")),
        (STORY, (STORY[0], STORY[1].replace("violet", "purple"))),
        (("", "One text"), ("", "Another tale")),
        (("...", "One text"), ("!!!", "Another tale")),
    ],
    ids=["another question", "another spelling", "nearly the same answer", "plain texts", "nothing asked"],
)
def test_other_pairs_of_rows_do_not_conflict(
    tmp_path: Path, one: tuple[str, str], other: tuple[str, str]
) -> None:
    assert compare(tmp_path, pairs(one, other)).contradicted.tolist() == [-1, -1]


def test_a_conversation_asks_everything_before_its_last_answer(tmp_path: Path) -> None:
    def chat(*turns: str) -> Row:
        roles = ("user", "assistant") * 3
        return Row(1, messages=tuple(Message(role, text) for role, text in zip(roles, turns, strict=False)))

    rows = [
        chat("Hi", "Hello", "And now?", "Bye for today"),
        chat("Hi", "Hello", "And now?", "Let us dance"),
        chat("Hi", "Good day", "And now?", "Something else entirely"),
    ]
    assert compare(tmp_path, rows, "messages").contradicted.tolist() == [-1, 0, -1]


def test_rows_of_both_kinds_are_compared_with_each_other(tmp_path: Path) -> None:
    chat = Row(2, messages=(Message("user", STORY[0]), Message("assistant", STORY[1])))
    assert compare(tmp_path, [Row(1, *STORY), chat], "mixed").originals.tolist() == [-1, 0]


def test_progress_is_told_up_to_the_whole_and_nothing_is_left_behind(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.parquet", pairs(STORY, STORY), "prompt_completion")
    told: list[float] = []
    find_copies(tmp_path / "rows.parquet", tmp_path, 1, told.append)
    assert told == sorted(told) and told[0] >= 0 and 0.9 < told[-1] <= 1
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


def test_damaged_rows_are_told(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(UnreadableSource):
        find_copies(tmp_path / "rows.parquet", tmp_path, 1, lambda share: None)

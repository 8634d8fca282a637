from __future__ import annotations

import codecs
import json
from pathlib import Path

import pytest

from tests.unit.data.reading.reading import problems, read, values, written
from tunesmith.schemas.errors import UnreadableSource

TEXTS = {
    "fr": "Le cœur a ses raisons que la raison ne connaît point ; où êtes-vous allé hier après le dîner ?",
    "pl": "Zażółć gęślą jaźń, proszę pana. Dzisiaj jest ładna pogoda i idziemy do parku.",
    "ru": "Привет, как дела? Сегодня хорошая погода, и мы идём гулять в парк.",
    "el": "Καλημέρα, τι κάνετε; Σήμερα ο καιρός είναι καλός και πάμε στο πάρκο.",
    "ja": "こんにちは、元気ですか？今日は天気がいいので公園に行きます。",
    "tw": "今天天氣很好，我們去公園散步。這是一個中文句子。",
    "zh": "你好，今天天气很好，我们去公园散步。这是一个中文句子。",
    "ko": "안녕하세요 오늘은 날씨가 좋아서 공원에 갑니다. 한국어 문장입니다.",
    "en": "He said “that’s fine” – and paid 5 € at the café.",
}


def table(text: str) -> str:
    return "prompt;completion\n" + "".join(f"{text};answer {number}\n" for number in range(5))


@pytest.mark.parametrize(
    ("language", "encoding"),
    [
        ("fr", "cp1252"),
        ("en", "cp1252"),
        ("fr", "mac_roman"),
        ("ru", "iso8859-5"),
        ("tw", "big5"),
        ("pl", "cp1250"),
        ("pl", "iso8859-2"),
        ("ru", "cp1251"),
        ("ru", "koi8-r"),
        ("el", "cp1253"),
        ("ja", "shift_jis"),
        ("ja", "euc_jp"),
        ("zh", "gb18030"),
        ("ko", "euc_kr"),
        *(
            (language, encoding)
            for language in TEXTS
            for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32")
        ),
        *((language, encoding) for language in TEXTS for encoding in ("utf-16-le", "utf-16-be")),
    ],
)
def test_text_is_read_in_the_encoding_it_is_in(tmp_path: Path, language: str, encoding: str) -> None:
    text = TEXTS[language].replace(";", ",")
    rows = values(read(written(tmp_path / "a.csv", table(text).encode(encoding))))
    assert [row["prompt"] for row in rows] == [text] * 5


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_json_is_read_in_other_encodings_too(tmp_path: Path, encoding: str, name: str) -> None:
    rows = [{"a": f"déjà vu à l'été {number}"} for number in range(4)]
    dumped = [json.dumps(row, ensure_ascii=False) for row in rows]
    text = "\n".join(dumped) if name == "a.jsonl" else f"[{','.join(dumped)}]"
    assert values(read(written(tmp_path / name, text.encode(encoding)))) == rows


def test_a_few_bad_lines_in_utf8_are_told_and_not_guessed_at(tmp_path: Path) -> None:
    good = "prompt,completion\n" + "où est le café,là\n" * 50
    rows = read(written(tmp_path / "a.csv", good.encode() + b"caf\xe9,x\n" + "naïf,y\n".encode()))
    assert problems(rows) == [(51, "invalid_encoding")]
    assert values(rows)[-1] == {"prompt": "naïf", "completion": "y"}


def test_a_few_bad_lines_in_json_are_damage(tmp_path: Path) -> None:
    content = b'{"a": "plain"}\n' * 20 + b'{"a": "caf\xe9"}\n' + b'{"a": "plain"}\n' * 20
    assert problems(read(written(tmp_path / "a.jsonl", content))) == [(21, "invalid_encoding")]


def test_the_first_letter_beyond_ascii_may_stand_late(tmp_path: Path) -> None:
    content = "prompt,completion\n" + "a,b\n" * 200_000 + "“déjà vu”,naïve – coûte 5 €\n" * 3
    rows = values(read(written(tmp_path / "a.csv", content.encode("cp1252"))))
    assert rows[-1] == {"prompt": "“déjà vu”", "completion": "naïve – coûte 5 €"}


def test_utf16_that_is_cut_within_a_character_costs_one_row(tmp_path: Path) -> None:
    content = codecs.BOM_UTF16_LE + '{"a": "x"}\n{"a": "y"}\n{"a": "z"}'.encode("utf-16-le")[:-1]
    rows = read(written(tmp_path / "a.jsonl", content))
    assert values(rows) == [{"a": "x"}, {"a": "y"}]
    assert [number for number, _ in problems(rows)] == [3]


def test_bytes_in_no_encoding_are_refused(tmp_path: Path) -> None:
    content = b"prompt,completion\n" + bytes(range(128, 256)) * 3 + b",x\n"
    try:
        rows = read(written(tmp_path / "a.csv", content))
    except UnreadableSource as error:
        assert "a.csv" in error.message
    else:
        assert all("\ufffd" not in row.values.get("prompt", "") for row in rows)
